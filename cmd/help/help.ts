import { Help, type Config } from '@oclif/core'

/** How wide and whether in colour. */
export interface HelpLook {
  /** Columns; the terminal's width when absent. */
  readonly maxWidth?: number
  /** Receives the text instead of standard output. */
  readonly write?: (text: string) => void
}

/** oclif's help; also renders into a string, for the reference. */
export class K0sHelp extends Help {
  readonly #write: HelpLook['write']

  constructor(config: Config, look: HelpLook = {}) {
    super(config, {
      ...config.pjson.oclif.helpOptions,
      ...(look.maxWidth === undefined ? {} : { maxWidth: look.maxWidth, stripAnsi: true }),
    })
    this.#write = look.write
  }

  protected override log(...args: string[]): void {
    if (this.#write === undefined) super.log(...args)
    else this.#write(`${args.join(' ')}\n`)
  }
}
