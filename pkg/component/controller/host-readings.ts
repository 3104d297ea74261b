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
/** Networks lose less; TCP copes with this, at a price that is seen: of 15 % lost on one link 5 to 12 % are sent again. */
const LOSS_BEGINS = 0.03
/** Less than this, so that a loss about as large as that is not news with every look. */
const LOSS_ENDS = 0.01
/** A loss begins when it shows in so many looks in a row: who was just powered off is sent to again for seconds, a lossy link always. */
const LOOKS_TO_BEGIN = 2
/** Fewer packets in a look say nothing of a network. */
const MIN_PACKETS = 100
/** What a clock is set by in one go; time daemons slew less than that. */
const STEP_MS = 1_000

/** A warning when a disk is full, or nearly so. Pure. */
export function littleSpace(path: string, freeBytes: number): string | undefined {
  if (freeBytes >= LITTLE_BYTES) return undefined
  if (freeBytes < MIB) return `the disk of ${path} is full: free some space`
  return `the disk of ${path} is nearly full: ${String(Math.floor(freeBytes / MIB))} MiB are free`
}

/** Links that lose nothing and would hide what others do: loopback, and those to and between pods of the host. */
const withinHost = /^(lo|veth|cni|cali|kube-|flannel|vxlan|tunl|dummy|docker|br-)/

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
  const links = [...dev.matchAll(/^\s*(\S+):\s*(.*)$/gm)].filter(([, name = '']) => !withinHost.test(name))
  const sent = links.reduce((sum, [, , fields = '']) => sum + Number(fields.split(/\s+/)[9] ?? NaN), 0)
  return Number.isNaN(resent) || Number.isNaN(sent) ? undefined : { sent, resent }
}

function counter(text: string, group: string, name: string): number {
  const lines = text.split('\n').filter((line) => line.startsWith(`${group}: `))
  const [names = [], values = []] = lines.map((line) => line.split(' '))
  return Number(values[names.indexOf(name)] ?? NaN)
}

/**
 * A warning while much is sent twice. Pure.
 *
 * @param readings oldest first, of looks at the same distance
 * @param stands whether it was warned of at the last look
 */
export function lostPackets(readings: readonly Segments[], stands: boolean): string | undefined {
  const [first, last] = [readings[0], readings.at(-1)]
  if (first === undefined || last === undefined) return undefined
  const share = resentShare(first, last)
  const newest = readings.slice(-LOOKS_TO_BEGIN - 1)
  const looks = newest.slice(1).map((now, i) => resentShare(newest[i] ?? now, now))
  const begins = looks.length === LOOKS_TO_BEGIN && looks.every((look) => look >= LOSS_BEGINS)
  if (!begins && !(stands && share >= LOSS_ENDS)) return undefined
  return `the network loses packets: ${(share * 100).toFixed(0)} % of what this host sends is sent again`
}

function resentShare(before: Segments, now: Segments): number {
  const sent = now.sent - before.sent
  return sent < MIN_PACKETS ? 0 : (now.resent - before.resent) / sent
}

/** A warning when the clock was set between two readings of its distance to one that is never set, milliseconds. Pure. */
export function clockStep(beforeMs: number, nowMs: number): string | undefined {
  const stepMs = nowMs - beforeMs
  if (Math.abs(stepMs) < STEP_MS) return undefined
  const seconds = (Math.abs(stepMs) / 1_000).toFixed(1)
  return `the clock of this host was set ${stepMs > 0 ? 'forward' : 'back'} by ${seconds} s`
}
