import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** One certificate with its key, as contents and as files. */
export interface Issued {
  readonly certPem: string
  readonly keyPem: string
  readonly certPath: string
  readonly keyPath: string
}

/** Whom a certificate names. */
export interface TestSubject {
  readonly commonName: string
  readonly organizations?: readonly string[]
}

/** The functions of pkg/certificate that a test passes in: packages of one layer do not import each other. */
export interface CertificateTools<Ca extends { readonly certPem: string }> {
  readonly createCa: (options: { readonly commonName: string; readonly validForMs: number }) => Ca
  readonly issueCertificate: (
    ca: Ca,
    request: TestSubject & {
      readonly dnsNames: readonly string[]
      readonly ips: readonly string[]
      readonly usages: readonly ('server' | 'client')[]
      readonly validForMs: number
    },
  ) => { readonly certPem: string; readonly keyPem: string }
}

type Issue = (subject: TestSubject) => { readonly certPem: string; readonly keyPem: string }

const VALID_FOR_MS = 24 * 3_600_000

/** A throw-away CA and the files of its certificates. */
export class TestCa implements AsyncDisposable {
  readonly dir: string
  readonly caPath: string
  readonly caPem: string
  readonly #issue: Issue
  #serial = 0

  private constructor(dir: string, caPem: string, issue: Issue) {
    this.dir = dir
    this.caPath = join(dir, 'ca.crt')
    this.caPem = caPem
    this.#issue = issue
  }

  /** Makes the directory and the CA. */
  static async create<Ca extends { readonly certPem: string }>(tools: CertificateTools<Ca>): Promise<TestCa> {
    const dir = await mkdtemp(join(tmpdir(), 'k0s-tunnel-'))
    const ca = tools.createCa({ commonName: 'test-ca', validForMs: VALID_FOR_MS })
    const issue: Issue = (subject) =>
      tools.issueCertificate(ca, {
        ...subject,
        dnsNames: ['localhost'],
        ips: ['127.0.0.1', '::1'],
        usages: ['server', 'client'],
        validForMs: VALID_FOR_MS,
      })
    const made = new TestCa(dir, ca.certPem, issue)
    await writeFile(made.caPath, ca.certPem)
    return made
  }

  /** A certificate for both uses, valid for 127.0.0.1, ::1 and localhost. */
  async issue(subject: TestSubject): Promise<Issued> {
    this.#serial += 1
    const [certPath, keyPath] = [join(this.dir, `${this.#serial}.crt`), join(this.dir, `${this.#serial}.key`)]
    const { certPem, keyPem } = this.#issue(subject)
    await Promise.all([writeFile(certPath, certPem), writeFile(keyPath, keyPem, { mode: 0o600 })])
    return { certPem, keyPem, certPath, keyPath }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.dir, { recursive: true, force: true })
  }
}
