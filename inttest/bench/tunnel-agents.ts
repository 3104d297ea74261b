import { readFileSync } from 'node:fs'
import { KonnectivityAgent } from '#konnectivity/agent/agent.ts'
import { silentLogger } from '#pkg/log/logger.ts'

/** Many agents in one process, for what they cost the server: `PORT COUNT DIR`. Tells when all are connected. */
function main([port = '', count = '', dir = '']: readonly string[]): void {
  const pem = (name: string): string => readFileSync(`${dir}/${name}`, 'utf8')
  const tls = { caPem: pem('ca.crt'), certPem: pem('agent.crt'), keyPem: pem('agent.key') }
  const servers = [{ host: '127.0.0.1', port: Number(port) }]
  const agents = Array.from({ length: Number(count) }, (_, i) => {
    const options = { nodeName: 'bench', agentId: `bench-${String(i)}`, identifiers: {}, servers, tls }
    return new KonnectivityAgent(options, { log: silentLogger })
  })
  for (const agent of agents) agent.start()
  const look = setInterval(() => {
    if (!agents.every((agent) => agent.status().every(({ state }) => state === 'connected'))) return
    clearInterval(look)
    console.log('listening')
  }, 50)
}

main(process.argv.slice(2))
