import { chown, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createCa } from '#pkg/certificate/authority.ts'
import { issueCertificate } from '#pkg/certificate/issue.ts'

/** PEM files of a database server under test and of its client. */
export interface CertificateFiles {
  readonly ca: string
  readonly serverCert: string
  readonly serverKey: string
  readonly clientCert: string
  readonly clientKey: string
}

const HOUR_MS = 3_600_000

/**
 * Makes an authority, a server certificate for 127.0.0.1 and localhost, and a client certificate for `clientName` in
 * `dir`. The server's files belong to `owner`, as database servers insist.
 */
export async function throwAwayCertificates(
  dir: string,
  clientName: string,
  owner: { readonly uid: number; readonly gid: number } | undefined,
): Promise<CertificateFiles> {
  const ca = createCa({ commonName: 'throw-away', validForMs: HOUR_MS })
  const server = issueCertificate(ca, {
    commonName: 'database',
    dnsNames: ['localhost'],
    ips: ['127.0.0.1'],
    usages: ['server'],
    validForMs: HOUR_MS,
  })
  const client = issueCertificate(ca, { commonName: clientName, usages: ['client'], validForMs: HOUR_MS })
  const write = async (name: string, pem: string, servers: boolean): Promise<string> => {
    const path = join(dir, name)
    await writeFile(path, pem, { mode: 0o600 })
    if (servers && owner !== undefined) await chown(path, owner.uid, owner.gid)
    return path
  }
  return {
    ca: await write('ca.crt', ca.certPem, true),
    serverCert: await write('server.crt', server.certPem, true),
    serverKey: await write('server.key', server.keyPem, true),
    clientCert: await write('client.crt', client.certPem, false),
    clientKey: await write('client.key', client.keyPem, false),
  }
}
