// Run in a mount namespace: mounts a 64 KiB file system on argv[2], and writes into it until it is full and once more.
import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomic } from '#pkg/file/atomic.ts'
import { errorMessage } from '#pkg/errors/error.ts'

const directory = process.argv[2] ?? ''
execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', directory])
const path = join(directory, 'state.json')
await writeFileAtomic(path, 'old', { mode: 0o600 })
const message = await writeFileAtomic(path, Buffer.alloc(128 * 1024), { mode: 0o600 }).then(() => '', errorMessage)
process.stdout.write(JSON.stringify({ message, content: await readFile(path, 'utf8'), files: readdirSync(directory) }))
