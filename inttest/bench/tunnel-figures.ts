/** How a figure is judged. */
export interface Judgement {
  readonly unit: string
  readonly better: 'higher' | 'lower'
  /** Least (where lower is better: greatest) ratio to the peer, or figure where there is no peer. */
  readonly target?: number | undefined
}

/** Outcome of all lines, told at the end. */
export const tally: { held: number; missed: number } = { held: 0, missed: 0 }

/** The line every benchmark prints: `NAME: ours X unit, PEER Y unit, ratio R, target T, held|missed`. */
export function report(
  name: string,
  { unit, better, target }: Judgement,
  ours: number,
  peer?: { readonly name: string; readonly value: number },
): void {
  const reached = peer === undefined ? ours : ours / peer.value
  const parts = [`${name}: ours ${text(ours, unit)}`]
  if (peer !== undefined) parts.push(`${peer.name} ${text(peer.value, unit)}`, `ratio ${reached.toFixed(2)}`)
  if (target === undefined) parts.push('no target')
  else {
    const held = better === 'higher' ? reached >= target : reached <= target
    tally[held ? 'held' : 'missed'] += 1
    parts.push(`target ${better === 'higher' ? '>=' : '<='} ${String(target)}`, held ? 'held' : 'missed')
  }
  console.log(parts.join(', '))
}

function text(value: number, unit: string): string {
  return `${value.toFixed(value < 100 ? 2 : 0)} ${unit}`
}

/** Mean of what several rounds came to. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
