import module from 'node:module'
import { basename } from 'node:path'
import { compileCacheDir } from '#pkg/assets/product.ts'
import type { CommandIo } from '#cmd/define.ts'

/** How long open handles may keep a finished process before it ends all the same, milliseconds. */
const exitGraceMs = 2_000

const cacheDir = compileCacheDir()
// Compiled code of the bundle, made with it: halves the time to the first line of output.
if (cacheDir !== undefined) module.enableCompileCache({ directory: cacheDir, portable: true })

const { runCli } = await import('#cmd/cli.ts')

process.stdout.on('error', endQuietly)
process.stderr.on('error', endQuietly)
process.exitCode = await runCli(process.argv.slice(2), processIo())
// A finished command ends with its last handle; this timer does not count as one and only ends what would hang.
setTimeout(() => process.exit(), exitGraceMs).unref()

/** `k0s … | head`: the reader is gone, nobody is left to tell. */
function endQuietly(err: NodeJS.ErrnoException): void {
  if (err.code !== 'EPIPE') throw err
  process.exit(0)
}

function processIo(): CommandIo {
  return {
    env: process.env,
    uid: process.getuid?.() ?? -1,
    self: process.env['_K0S_SELF'] ?? process.argv[1] ?? basename(process.execPath),
    stdout: (text) => void process.stdout.write(text),
    stderr: (text) => void process.stderr.write(text),
  }
}
