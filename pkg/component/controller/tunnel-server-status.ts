import type { ServerStatus } from '#konnectivity/server/status.ts'
import { probeHttp } from '#pkg/net/probe.ts'

/** Asks the tunnel server of this controller for its agents. @throws ProbeError */
export async function readTunnelStatus(adminPort: number, signal: AbortSignal): Promise<ServerStatus> {
  return JSON.parse(await probeHttp(`http://127.0.0.1:${adminPort}/status`, { signal })) as ServerStatus
}
