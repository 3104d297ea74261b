import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** One certificate with its key, as contents and as files. */
export interface Issued {
  readonly certPem: string
  readonly keyPem: string
  readonly certPath: string
  readonly keyPath: string
}

/** A throw-away CA made with the openssl command, which every build host has. */
export class TestCa implements AsyncDisposable {
  readonly dir: string
  readonly caPath: string
  readonly caPem: string
  #serial = 0

  private constructor(dir: string, caPem: string) {
    this.dir = dir
    this.caPath = join(dir, 'ca.crt')
    this.caPem = caPem
  }

  /** Makes the directory and the CA. */
  static async create(): Promise<TestCa> {
    const dir = await mkdtemp(join(tmpdir(), 'k0s-tunnel-'))
    const [crt, key] = [join(dir, 'ca.crt'), join(dir, 'ca.key')]
    await run('openssl', ['req', '-x509', ...newKey, '-keyout', key, '-out', crt, '-days', '2', '-subj', '/CN=test-ca'])
    return new TestCa(dir, await readFile(crt, 'utf8'))
  }

  /** A certificate for both uses; `subject` in openssl's form, valid for 127.0.0.1, ::1 and localhost. */
  async issue(subject: string): Promise<Issued> {
    this.#serial += 1
    const base = join(this.dir, `cert-${this.#serial}`)
    const [key, csr, crt, ext] = [`${base}.key`, `${base}.csr`, `${base}.crt`, `${base}.ext`]
    await run('openssl', ['req', '-new', ...newKey, '-keyout', key, '-out', csr, '-subj', subject])
    await writeFile(ext, 'subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n')
    const signer = ['-CA', this.caPath, '-CAkey', join(this.dir, 'ca.key'), '-set_serial', String(this.#serial)]
    await run('openssl', ['x509', '-req', '-in', csr, ...signer, '-out', crt, '-days', '1', '-extfile', ext])
    const [certPem, keyPem] = await Promise.all([readFile(crt, 'utf8'), readFile(key, 'utf8')])
    return { certPem, keyPem, certPath: crt, keyPath: key }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.dir, { recursive: true, force: true })
  }
}

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
