import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'mocha'
import { parseFlags } from '#cmd/flags/parse.ts'
import { commands } from '#cmd/index.ts'
import { resolveCommand } from '#cmd/resolve.ts'

const root = join(import.meta.dirname, '..')
const guides = readdirSync(join(root, 'docs/guides')).map((name) => `docs/guides/${name}`)

/** The command lines of k0s in a document: lines of its shell blocks, and what stands in code spans. */
function commandLines(markdown: string): readonly string[] {
  const blocks = [...markdown.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, text = '']) => text.replaceAll('\\\n', ' '))
  const spans = [...markdown.replaceAll(/^```.*?^```$/gms, '').matchAll(/`([^`]+)`/g)].map(([, text = '']) => text)
  return [...blocks.flatMap((text) => text.split('\n')), ...spans]
    .map((line) => line.replace(/^build\//, ''))
    .filter((line) => /^k0s [a-z-]/.test(line))
}

/** The words after `k0s`, as a shell has them: without comment, redirection and quotes. */
function words(line: string): readonly string[] {
  const command = line.replace(/ #.*$| >.*$/, '')
  return [...command.matchAll(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g)].map(([word]) => word.replaceAll(/['"]/g, '')).slice(1)
}

/** Fails as the command would for its command line, before it does anything. */
function assertTaken(line: string): void {
  const resolution = resolveCommand(commands, words(line))
  if (resolution.kind === 'help') return // a group of commands, named in a sentence
  const { definition, argv } = resolution
  if (definition.passThrough === true) return
  const { args } = parseFlags(definition.flags, argv, { command: `k0s ${definition.id}`, env: {} })
  const specs = definition.args ?? []
  assert.ok(specs.at(-1)?.multiple === true || args.length <= specs.length, `arguments: ${args.join(' ')}`)
}

describe('command lines of k0s', () => {
  for (const file of ['README.md', ...guides]) {
    it(`in ${file} are ones that it takes`, () => {
      const lines = commandLines(readFileSync(join(root, file), 'utf8'))
      if (file === 'README.md') assert.ok(lines.length > 8, 'they were found')
      for (const line of lines) assert.doesNotThrow(() => assertTaken(line), line)
    })
  }

  it('in the examples of its help are ones that it takes', () => {
    for (const { examples } of commands) {
      for (const { command } of examples) assert.doesNotThrow(() => assertTaken(`k0s ${command}`), command)
    }
  })

  it('are read as a shell reads them', () => {
    assert.deepEqual(words('k0s a --b=\'c d\' "e f" > file  # g'), ['a', '--b=c d', 'e f'])
    assert.throws(() => assertTaken('k0s token create --rôle=x'), /unknown flag/)
    assert.throws(() => assertTaken('k0s tokens list'), /unknown command/)
    assert.throws(() => assertTaken('k0s start controller'), /arguments: controller/)
  })
})
