import { createSecureContext } from 'node:tls'
import type { SecureContextOptions } from 'node:tls'
import type { Logger } from '#pkg/log/logger.ts'
import { readPem, TunnelFileError } from '#konnectivity/tunnel/pem.ts'
import { errorMessage } from '#pkg/errors/error.ts'

/** Certificate, key and authority of a listener: paths, each with the flag that gave it. */
export interface TlsFilesOptions {
  readonly cert: NamedFile
  readonly key: NamedFile
  readonly ca: NamedFile | undefined
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3'
  /** OpenSSL's cipher list. */
  readonly ciphers: string | undefined
}

interface NamedFile {
  readonly path: string
  readonly flag: string
}

/** What a listener that reloads needs of its server. */
export interface SecureContextHolder {
  setSecureContext(options: SecureContextOptions): void
}

/** How often the files are read: renewals come hours before the old certificate ends. */
const READ_EVERY_MS = 10_000

/** The files of a listener, used anew by its server when they change. Connections that are open keep what they have. */
export class TlsFiles {
  readonly #options: TlsFilesOptions
  readonly #log: Logger
  readonly #everyMs: number
  #timer: NodeJS.Timeout | undefined
  #current = ''
  #lastError: string | undefined

  constructor(options: TlsFilesOptions, deps: { readonly log: Logger; readonly everyMs?: number }) {
    this.#options = options
    this.#log = deps.log
    this.#everyMs = deps.everyMs ?? READ_EVERY_MS
  }

  /** Reads them for the first time. @throws TunnelFileError, also when they do not belong together */
  async read(): Promise<SecureContextOptions> {
    const { cert, key, ca, minVersion, ciphers } = this.#options
    const [certPem, keyPem, caPem] = await Promise.all([
      readPem(cert.path, cert.flag),
      readPem(key.path, key.flag),
      ca && readPem(ca.path, ca.flag),
    ])
    const context = { cert: certPem, key: keyPem, ca: caPem, minVersion, ...(ciphers !== undefined && { ciphers }) }
    try {
      createSecureContext(context)
    } catch (cause) {
      const message = `cannot use ${cert.path} (--${cert.flag}) with ${key.path} (--${key.flag}): ${errorMessage(cause)}`
      throw new TunnelFileError(message, { cause })
    }
    this.#current = [certPem, keyPem, caPem].join()
    return context
  }

  /** Gives the server what changes from now on. */
  follow(server: SecureContextHolder): void {
    this.#timer = setInterval(() => void this.#reload(server), this.#everyMs).unref()
  }

  /** Ends that. */
  stop(): void {
    clearInterval(this.#timer)
  }

  async #reload(server: SecureContextHolder): Promise<void> {
    const before = this.#current
    try {
      const context = await this.read()
      this.#lastError = undefined
      if (this.#current === before) return
      server.setSecureContext(context)
      this.#log.info('certificate read again', { file: this.#options.cert.path })
    } catch (err) {
      // A renewal that is half written: the next look finds it whole. Until then the old one serves.
      const message = errorMessage(err)
      if (message !== this.#lastError) this.#log.warn('certificate not read again, using the one before', { err })
      this.#lastError = message
    }
  }
}
