/** TCP segments since boot. */
export interface Segments {
  /** Packets that left the host, whatever they carry. */
  readonly sent: number
  /** TCP segments that were sent once more, since nobody confirmed them. */
  readonly resent: number
}

const MIB = 1024 * 1024
/** etcd sets 64 MiB aside for its log at a time, and a start of the controller takes twice that. */
const LITTLE_BYTES = 256 * MIB
/** Networks lose less; TCP copes with this, at a price that is seen. */
const LOSS_SHARE = 0.05
/** Fewer packets say nothing of a network. */
const MIN_PACKETS = 100
/** What a clock is set by in one go; time daemons slew less than that. */
const STEP_MS = 1_000

/** A warning when a disk is full, or nearly so. Pure. */
export function littleSpace(path: string, freeBytes: number): string | undefined {
  if (freeBytes >= LITTLE_BYTES) return undefined
  if (freeBytes < MIB) return `the disk of ${path} is full: free some space`
  return `the disk of ${path} is nearly full: ${String(Math.floor(freeBytes / MIB))} MiB are free`
}

/** The files of /proc/net that segmentsOf reads. */
export interface NetFiles {
  readonly snmp: string
  readonly netstat: string
  readonly dev: string
}

/** Reads how much was sent, and sent again; undefined when the files are not as expected. Pure. */
export function segmentsOf({ snmp, netstat, dev }: NetFiles): Segments | undefined {
  // Not what is sent again for nothing, as the other end says (a busy one confirms late), nor requests for a connection, which
  // say that a host is away.
  const inVain = ['TCPSynRetrans', 'TCPDSACKRecv', 'TCPDSACKOfoRecv'].map((name) => counter(netstat, 'TcpExt', name))
  const resent = inVain.reduce((rest, count) => rest - count, counter(snmp, 'Tcp', 'RetransSegs'))
  // Loopback loses nothing and would hide what links do.
  const links = [...dev.matchAll(/^\s*(\S+):\s*(.*)$/gm)].filter(([, name]) => name !== 'lo')
  const sent = links.reduce((sum, [, , fields = '']) => sum + Number(fields.split(/\s+/)[9] ?? NaN), 0)
  return Number.isNaN(resent) || Number.isNaN(sent) ? undefined : { sent, resent }
}

function counter(text: string, group: string, name: string): number {
  const lines = text.split('\n').filter((line) => line.startsWith(`${group}: `))
  const [names = [], values = []] = lines.map((line) => line.split(' '))
  return Number(values[names.indexOf(name)] ?? NaN)
}

/** A warning when much was sent twice between two readings. Pure. */
export function lostPackets(before: Segments, now: Segments): string | undefined {
  const sent = now.sent - before.sent
  const resent = now.resent - before.resent
  if (sent < MIN_PACKETS || resent / sent < LOSS_SHARE) return undefined
  return `the network loses packets: ${((resent / sent) * 100).toFixed(0)} % of what this host sends is sent again`
}

/** A warning when the clock was set between two readings of its distance to one that is never set, milliseconds. Pure. */
export function clockStep(beforeMs: number, nowMs: number): string | undefined {
  const stepMs = nowMs - beforeMs
  if (Math.abs(stepMs) < STEP_MS) return undefined
  const seconds = (Math.abs(stepMs) / 1_000).toFixed(1)
  return `the clock of this host was set ${stepMs > 0 ? 'forward' : 'back'} by ${seconds} s`
}
