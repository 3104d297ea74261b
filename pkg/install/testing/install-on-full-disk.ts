// Installs a worker below argv[2], a file system of 64 KiB with room for the secrets and not for the unit file.
import { mkdirSync, readdirSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { errorMessage } from '#pkg/errors/error.ts'
import { detectInitSystem } from '#pkg/install/detect.ts'
import { installService } from '#pkg/install/install.ts'
import type { RunProgram } from '#pkg/supervisor/run-program.ts'

const root = process.argv[2] ?? ''
for (const dir of ['run/systemd/system', 'etc/systemd/system', 'etc/k0s'])
  mkdirSync(join(root, dir), { recursive: true })
const { bavail, bsize } = statfsSync(root)
writeFileSync(join(root, 'filler'), Buffer.alloc((bavail - 3) * bsize))
const run: RunProgram = () => Promise.resolve({ code: 0, stdout: '', stderr: '' })
const init = await detectInitSystem({ root, run })
if (init === undefined) throw new Error('the tree is no host of systemd')
const message = await installService(
  {
    role: 'worker',
    executable: '/usr/local/bin/k0s',
    flags: [],
    environment: { NAME: 'value' },
    token: 'token',
    users: [],
    stopTimeoutSeconds: 90,
    force: false,
  },
  { init, run, root },
).then(() => '', errorMessage)
const entries = readdirSync(join(root, 'etc'), { recursive: true, withFileTypes: true })
const files = entries.filter((entry) => entry.isFile()).map(({ name }) => name)
process.stdout.write(JSON.stringify({ message, files }))
