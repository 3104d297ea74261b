import { must } from '#inttest/common/run.ts'

/** A cable that loses packets, at the switch: whoever sends them is not told. */
export class LossyLink {
  readonly #table: string

  /** From now on the link loses this share of the packets of each direction, percent. */
  static async make(link: string, percent: number): Promise<LossyLink> {
    const table = `lossy-${link}`
    const chain = (name: string, hook: string): string =>
      `chain ${name} { type filter hook ${hook} device "${link}" priority 0; policy accept; ` +
      `numgen random mod 100 < ${String(percent)} counter drop\n}\n`
    await must(['nft', '-f', '-'], {
      input: `table netdev ${table} {\n${chain('from', 'ingress')}${chain('to', 'egress')}}\n`,
    })
    return new LossyLink(table)
  }

  private constructor(table: string) {
    this.#table = table
  }

  /** The link is whole again; tells how many packets were lost. */
  async mend(): Promise<number> {
    const rules = await must(['nft', 'list', 'table', 'netdev', this.#table])
    await must(['nft', 'delete', 'table', 'netdev', this.#table])
    return [...rules.matchAll(/counter packets (\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0)
  }
}
