import { mkdir, open, rm, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { must } from '#inttest/common/run.ts'

/** How a disk is made. */
export interface DiskOptions {
  /** Default ext4; xfs can copy a file in one instant. */
  readonly fileSystem?: 'ext4' | 'xfs'
  readonly mib: number
  /** Where it is mounted; default: beside its file. */
  readonly path?: string
}

/** What the last blocks are found with: others may take some meanwhile, and so do the file's own extents. */
const WRITTEN_BYTES = 8 * 1024 * 1024

/** A file system in a file, mounted on a loop device until it is disposed of. */
export class Disk implements AsyncDisposable {
  /** Where it is mounted. */
  readonly path: string
  readonly #image: string

  /** A fresh one; `image` is the file to be made. */
  static async make(image: string, { fileSystem = 'ext4', mib, path }: DiskOptions): Promise<Disk> {
    await must(['truncate', '-s', `${String(mib)}M`, image])
    // Nothing is kept for root, so that a full disk is full.
    const format = fileSystem === 'ext4' ? ['mkfs.ext4', '-q', '-F', '-m', '0'] : ['mkfs.xfs', '-q', '-m', 'reflink=1']
    await must([...format, image])
    return await Disk.mount(image, path)
  }

  /** What is in an image, as the kernel finds it after a power cut. */
  static async mount(image: string, path = `${image}.mount`): Promise<Disk> {
    await mkdir(path, { recursive: true })
    try {
      await must(['mount', '-o', 'loop', image, path])
    } catch (error) {
      await rm(path, { recursive: true })
      throw error
    }
    return new Disk(image, path)
  }

  private constructor(image: string, path: string) {
    this.#image = image
    this.path = path
  }

  /** `major:minor` of its block device. */
  async device(): Promise<string> {
    return (await must(['mountpoint', '-d', this.path])).trim()
  }

  /**
   * What would be found if the power went off now, as an image: what the file system has given to its disk, in the state
   * of one instant; the disk's own directory must be on xfs.
   */
  async copyOfNow(name: string): Promise<string> {
    const copy = join(this.#image, '..', name)
    await must(['cp', '--reflink=always', this.#image, copy])
    return copy
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The device goes with the mount. Whoever still has a file open has been killed a moment ago.
    await must(['umount', '--lazy', this.path])
    await rm(this.path, { recursive: true })
    await rm(this.#image)
  }
}

/** Takes all the space that is left, to the last block. Most of it is only set aside: nobody else on the machine waits for its disk. */
export async function fill(path: string): Promise<void> {
  const { bavail, bsize } = await statfs(dirname(path))
  await must(['fallocate', '--length', String(Math.max(bsize, bavail * bsize - WRITTEN_BYTES)), path])
  const file = await open(path, 'a')
  try {
    for (let size = 1024 * 1024; size >= 512;) {
      try {
        await file.write(Buffer.alloc(size))
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
        size /= 2
      }
    }
    await file.sync()
  } finally {
    await file.close()
  }
}
