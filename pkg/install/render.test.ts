import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseEnvironment, renderEnvironmentFile } from '#pkg/install/environment-file.ts'
import { renderOpenrcScript } from '#pkg/install/openrc-script.ts'
import { shellWord, systemdWord } from '#pkg/install/quote.ts'
import type { ServiceSpec } from '#pkg/install/service.ts'
import { renderPodScopeSettings, renderSystemdUnit } from '#pkg/install/systemd-unit.ts'

const specs: Readonly<Record<string, ServiceSpec>> = {
  k0scontroller: {
    role: 'controller',
    executable: '/usr/local/bin/k0s',
    args: ['controller', '--enable-worker=false', '--config=/etc/k0s/k0s.yaml'],
    environmentFile: undefined,
    stopTimeoutSeconds: 90,
  },
  k0sworker: {
    role: 'worker',
    executable: '/opt/my programs/k0s',
    args: [
      'worker',
      '--labels=disk=ssd',
      `--kubelet-extra-args=--v=4 --node-labels="a=100%,b=$HOME" 'x'`,
      '--token-file=/etc/k0s/k0sworker.token',
    ],
    environmentFile: '/etc/k0s/k0sworker.env',
    stopTimeoutSeconds: 120,
  },
}

/** UPDATE_GOLDEN=1 writes the file anew; read the difference before committing it. */
function assertGolden(name: string, text: string): void {
  const file = join(import.meta.dirname, 'testdata', name)
  if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(file, text)
  assert.equal(text, readFileSync(file, 'utf8'), `${name} differs`)
}

describe('service files', () => {
  for (const [name, spec] of Object.entries(specs)) {
    it(`${name}: systemd unit`, () => assertGolden(`${name}.service`, renderSystemdUnit(spec)))
    it(`${name}: OpenRC script`, () => assertGolden(`${name}.openrc`, renderOpenrcScript(spec)))
  }

  it('settings of the scopes of pods', () => assertGolden('cri-containerd-.scope.conf', renderPodScopeSettings()))

  it('give a shell back the words, those of OpenRC after being read twice', () => {
    const args = specs['k0sworker']!.args
    const script = renderOpenrcScript(specs['k0sworker']!)
    const assignments = script.split('\n').filter((line) => /^command(_args)?=/.test(line))
    const program = `${assignments.join('\n')}\neval "set -- $command $command_args"\nprintf '%s\\n' "$@"`
    const printed = execFileSync('sh', ['-c', program], { encoding: 'utf8' })
    assert.deepEqual(printed.trimEnd().split('\n'), ['/opt/my programs/k0s', ...args])
  })
})

describe('quoting', () => {
  it('leaves plain words alone', () => {
    assert.equal(shellWord('--a=b,c:/d@e.f+g_h-1'), '--a=b,c:/d@e.f+g_h-1')
    assert.equal(systemdWord('--a=b,c:/d@e.f+g_h-1'), '--a=b,c:/d@e.f+g_h-1')
  })

  it('escapes what is special to systemd, a lone semicolon and the empty word included', () => {
    assert.equal(systemdWord('100%'), '"100%%"')
    assert.equal(systemdWord('$HOME'), '"$$HOME"')
    assert.equal(systemdWord('a "b" \\'), '"a \\"b\\" \\\\"')
    assert.equal(systemdWord('a\nb'), '"a\\nb"')
    assert.equal(systemdWord(';'), '";"')
    assert.equal(systemdWord(''), '""')
  })
})

describe('--env', () => {
  it('takes values, and those of its own environment for bare names', () => {
    const own = { HTTP_PROXY: 'http://user:secret@proxy:3128' }
    const environment = parseEnvironment(['A=1', 'HTTP_PROXY', 'EMPTY=', 'A=x=y'], own)
    assert.deepEqual(environment, { A: 'x=y', HTTP_PROXY: 'http://user:secret@proxy:3128', EMPTY: '' })
  })

  it('refuses names that are none, bare names that are not set, and several lines', () => {
    assert.throws(() => parseEnvironment(['1A=b'], {}), /"1A" is no name/)
    assert.throws(() => parseEnvironment(['=b'], {}), /"" is no name/)
    assert.throws(() => parseEnvironment(['MISSING'], {}), /MISSING is not set/)
    assert.throws(() => parseEnvironment(['A=b\nc'], {}), /one line/)
  })

  it('writes values that a shell reads back exactly', () => {
    const values = { QUOTES: `"double" 'single' \`back\``, DOLLAR: '$HOME ${x} \\$y \\', HASH: '# ; & |', EMPTY: '' }
    const file = renderEnvironmentFile(values)
    const print = Object.keys(values).map((name) => `printf '%s\\n' "$${name}"`)
    const printed = execFileSync('sh', ['-c', `${file}\n${print.join('\n')}`], { encoding: 'utf8' })
    assert.deepEqual(printed.split('\n').slice(0, -1), Object.values(values))
  })
})
