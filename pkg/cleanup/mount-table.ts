import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Mount points in the order in which they were mounted (proc(5), mountinfo); a path can occur twice. */
export async function readMountPoints(root = '/'): Promise<readonly string[]> {
  return parseMountPoints(await readFile(join(root, 'proc/self/mountinfo'), 'utf8'))
}

/** As `readMountPoints`, from the text. */
export function parseMountPoints(mountinfo: string): readonly string[] {
  return mountinfo.split('\n').flatMap((line) => {
    const field = line.split(' ')[4]
    // Space, tab, newline and backslash are written in octal.
    return field === undefined
      ? []
      : [field.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)))]
  })
}

/** Whether `path` lies below `dir`; a directory is not below itself. */
export function isBelow(path: string, dir: string): boolean {
  return path.startsWith(dir.endsWith('/') ? dir : `${dir}/`)
}

/** The mount points below any of `dirs`, newest first: the order to unmount them in. */
export function mountsBelow(mountPoints: readonly string[], dirs: readonly string[]): readonly string[] {
  return mountPoints.filter((path) => dirs.some((dir) => isBelow(path, dir))).reverse()
}
