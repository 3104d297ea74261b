/** Splits `host:port`, with brackets around IPv6 addresses. The port is 6443 when it is left out. */
export function splitHostPort(address: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(address)
  return { host: match?.[1] ?? match?.[2] ?? address, port: Number(match?.[3] ?? 6443) }
}
