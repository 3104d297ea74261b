// A supervisor of its own to be killed: supervises the ProcessSpec in argv[2] (JSON) and prints the child's PID.
import { silentLogger } from '#pkg/log/logger.ts'
import { supervise, type ProcessSpec } from '#pkg/supervisor/process.ts'

const spec = JSON.parse(process.argv[2] ?? '') as ProcessSpec
const supervised = supervise(spec, { log: silentLogger })
await supervised.start()
process.stdout.write(`${supervised.pid}\n`)
