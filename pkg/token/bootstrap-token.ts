import { randomInt } from 'node:crypto'

/** A bootstrap token of Kubernetes: `<id>.<secret>`. The id is public, the secret is not. */
export interface BootstrapToken {
  /** 6 characters of [a-z0-9]. */
  readonly id: string
  /** 16 characters of [a-z0-9]. */
  readonly secret: string
}

const alphabet = 'abcdefghijklmnopqrstuvwxyz0123456789'

/** A new token from the system's random source: 82 bits of secret. */
export function generateBootstrapToken(): BootstrapToken {
  return { id: randomText(6), secret: randomText(16) }
}

/** Reads `id.secret`, or undefined if the text is not of that form (bootstrap-token-id pattern of Kubernetes). */
export function parseBootstrapToken(text: string): BootstrapToken | undefined {
  const [, id, secret] = /^([a-z0-9]{6})\.([a-z0-9]{16})$/.exec(text) ?? []
  return id === undefined || secret === undefined ? undefined : { id, secret }
}

/** The id that `id`, `id.secret` or the name of the Secret stand for, or undefined. */
export function tokenIdOf(text: string): string | undefined {
  const id = text.replace(/^bootstrap-token-/, '').replace(/\.[a-z0-9]{16}$/, '')
  return /^[a-z0-9]{6}$/.test(id) ? id : undefined
}

/** randomInt draws without modulo bias. */
function randomText(length: number): string {
  return Array.from({ length }, () => alphabet.charAt(randomInt(alphabet.length))).join('')
}
