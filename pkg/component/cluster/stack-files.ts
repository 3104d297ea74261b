import { join } from 'node:path'
import { modes } from '#pkg/constant/files.ts'
import { writeFileAtomic } from '#pkg/file/atomic.ts'
import { ensureDir } from '#pkg/file/directory.ts'

/**
 * Writes files of the product (name to text) into `<manifestsDir>/<stack>`, from where the applier takes them. Nothing is
 * written that is right already, and what a user added to the folder stays.
 */
export async function writeStack(
  manifestsDir: string,
  stack: string,
  files: Readonly<Record<string, string>>,
): Promise<void> {
  const folder = join(manifestsDir, stack)
  await ensureDir(manifestsDir, { mode: modes.dataDir })
  await ensureDir(folder, { mode: modes.dataDir })
  for (const [name, text] of Object.entries(files)) {
    await writeFileAtomic(join(folder, name), text, { mode: modes.secretFile })
  }
}
