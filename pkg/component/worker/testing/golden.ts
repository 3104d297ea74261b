import assert from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** Compares `text` with `<dir>/testdata/<name>`; with UPDATE_GOLDEN=1 writes it instead. */
export async function assertGolden(dir: string, name: string, text: string): Promise<void> {
  const file = join(dir, 'testdata', name)
  // eslint-disable-next-line no-restricted-properties -- only tests import this file, and mocha passes no options on
  if (process.env['UPDATE_GOLDEN'] === '1') {
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, text)
  }
  assert.equal(text, await readFile(file, 'utf8'), `${name} differs; UPDATE_GOLDEN=1 writes it anew`)
}
