// Writes a small file into the directory argv[2], a file system of 64 KiB, and then one that is too large for it.
import { readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomic } from '#pkg/file/atomic.ts'
import { errorMessage } from '#pkg/errors/error.ts'

const directory = process.argv[2] ?? ''
const path = join(directory, 'state.json')
await writeFileAtomic(path, 'old', { mode: 0o600 })
const message = await writeFileAtomic(path, Buffer.alloc(128 * 1024), { mode: 0o600 }).then(() => '', errorMessage)
process.stdout.write(JSON.stringify({ message, content: await readFile(path, 'utf8'), files: readdirSync(directory) }))
