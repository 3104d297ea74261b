// Takes the lock argv[2], says so, and keeps it until it is killed.
import { acquireLock } from '#pkg/file/lock.ts'

await acquireLock(process.argv[2] ?? '')
process.stdout.write('held\n')
setInterval(() => undefined, 60_000)
