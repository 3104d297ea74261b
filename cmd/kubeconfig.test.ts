import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runCli } from '#cmd/cli.ts'
import { createCa } from '#pkg/certificate/authority.ts'
import { parseCertificate } from '#pkg/certificate/parse.ts'
import { parseKubeconfig, renderKubeconfig } from '#pkg/kubernetes/kubeconfig.ts'
import { startStatusServer } from '#pkg/status/server.ts'
import { silentLogger } from '#pkg/log/logger.ts'

describe('k0s kubeconfig', () => {
  let dir: string
  let socket: string
  const ca = createCa({ commonName: 'kubernetes-ca', validForMs: 86_400_000 })
  const resources = new AsyncDisposableStack()

  /** A controller as far as these commands look at it: its certificates and its status socket. */
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'k0s-kubeconfig-'))
    socket = join(dir, 'status.sock')
    await mkdir(join(dir, 'pki'))
    await writeFile(join(dir, 'pki', 'ca.crt'), ca.certPem)
    await writeFile(join(dir, 'pki', 'ca.key'), ca.keyPem)
    const admin = renderKubeconfig({ server: 'https://127.0.0.1:6443', caPem: ca.certPem, token: 't', user: 'admin' })
    await writeFile(join(dir, 'pki', 'admin.conf'), admin)
    const status = {
      Version: '1',
      Pid: 1,
      PPid: 1,
      Role: 'controller',
      SysInit: '',
      StubFile: '',
      Output: '',
      Workloads: false,
      SingleNode: true,
      Args: [],
      WorkerToAPIConnectionStatus: { Message: '', Success: true },
      ClusterConfig: { spec: { api: { address: '10.1.2.3', externalAddress: 'api.example.com', port: 7443 } } },
      K0sVars: {},
    }
    const provider = { status: () => status, components: () => [], stop: () => undefined }
    resources.use(await startStatusServer({ socketPath: socket }, provider, { log: silentLogger }))
  })
  after(async () => {
    await resources.disposeAsync()
    await rm(dir, { recursive: true })
  })

  const run = async (argv: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> => {
    let [stdout, stderr] = ['', '']
    const io = { stdout: (text: string) => (stdout += text), stderr: (text: string) => (stderr += text) }
    const where = ['--data-dir', dir, '--status-socket', socket]
    const code = await runCli([...argv, ...where], { ...io, env: {}, uid: 1000, self: '/k0s' })
    return { code, stdout, stderr }
  }

  it('makes one for a user, signed by the cluster, with the public address', async () => {
    const flags = ['--groups=developers', '--certificate-expires-after=1h', '--context-name=here']
    const { code, stdout, stderr } = await run(['kubeconfig', 'create', 'alice', ...flags])
    assert.equal(code, 0, stderr)
    const config = parseKubeconfig(stdout)
    assert.equal(config.server, 'https://api.example.com:7443')
    assert.equal(config.context, 'here')
    assert.equal(config.user, 'alice')
    const certificate = parseCertificate(config.certPem!)
    assert.equal(certificate.commonName, 'alice')
    assert.deepEqual(certificate.organizations, ['developers'])
    const livesMs = certificate.notAfter.getTime() - Date.now()
    assert.ok(livesMs > 3_500_000 && livesMs <= 3_600_000, `lives ${livesMs} ms`)
  })

  it('puts no group where none was asked for', async () => {
    const { stdout } = await run(['kubeconfig', 'create', 'bob'])
    assert.deepEqual(parseCertificate(parseKubeconfig(stdout).certPem!).organizations, [])
  })

  it("prints the administrator's with the public address", async () => {
    const config = parseKubeconfig((await run(['kubeconfig', 'admin'])).stdout)
    assert.equal(config.server, 'https://api.example.com:7443')
    assert.equal(config.token, 't')
  })

  it('makes no token on a single node', async () => {
    const { code, stderr } = await run(['token', 'create'])
    assert.equal(code, 1)
    assert.match(stderr, /^Error: this is a single node \(--single\)[^\n]*\n$/)
  })
})
