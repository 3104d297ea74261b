import { silentLogger } from '#pkg/log/logger.ts'
import { runKine } from '#pkg/kine/run.ts'
import { testFiles } from '#pkg/kine/testing/servers.ts'

// Kine as a process of its own, to be killed: `node serve.ts <socket> <database>`; prints "ready".
const [socket = '', database = ''] = process.argv.slice(2)
await runKine(
  { listenAddress: `unix://${socket}`, endpoint: `sqlite://${database}` },
  {
    log: silentLogger,
    signal: new AbortController().signal,
    files: await testFiles(),
    onReady: () => process.stdout.write('ready\n'),
  },
)
