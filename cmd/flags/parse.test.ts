import assert from 'node:assert/strict'
import * as flag from '#cmd/flags/kinds.ts'
import { parseFlags } from '#cmd/flags/parse.ts'
import { UsageError } from '#pkg/errors/usage.ts'

const table = {
  'enable-worker': flag.bool('b'),
  verbose: flag.bool('b', { short: 'v', default: true }),
  debug: flag.bool('b', { short: 'd', env: 'DEBUG' }),
  output: flag.optionalChoice('c', ['json', 'yaml'], { short: 'o' }),
  config: flag.path('p', { short: 'c', default: '/etc/k0s/k0s.yaml' }),
  expiry: flag.duration('d', { defaultMs: 0 }),
  labels: flag.list('l'),
  env: flag.array('a', { short: 'e' }),
  logging: flag.map('m', { short: 'l' }),
  'feature-gates': flag.gates('g'),
  count: flag.integer('i', { default: 1, min: 1, max: 9 }),
  dynamic: flag.bool('b', { unavailable: 'edit the configuration file instead' }),
}
const parse = (argv: readonly string[], env: Record<string, string> = {}) =>
  parseFlags(table, argv, { command: 'k0s x', env })
const refuses = (argv: readonly string[], message: RegExp): void => {
  assert.throws(
    () => parse(argv),
    (err: unknown) => {
      assert.ok(err instanceof UsageError)
      assert.match(err.message, message)
      assert.doesNotMatch(err.message, /\n/)
      return true
    },
  )
}

describe('parseFlags', () => {
  it('reads booleans as Go does', () => {
    for (const value of ['false', '0', 'f', 'F', 'False', 'FALSE'])
      assert.equal(parse([`--verbose=${value}`]).flags.verbose, false, value)
    for (const value of ['true', '1', 't', 'T', 'True', 'TRUE'])
      assert.equal(parse([`--enable-worker=${value}`]).flags['enable-worker'], true, value)
    assert.equal(parse(['--enable-worker']).flags['enable-worker'], true)
    assert.equal(parse(['-v=false']).flags.verbose, false)
    refuses(['--enable-worker=yes'], /^invalid value "yes" for --enable-worker: it takes true or false$/)
    refuses(['--enable-worker='], /--enable-worker: it takes true or false/)
  })

  it('leaves the word after a boolean alone', () => {
    const { flags, args } = parse(['--enable-worker', 'false'])
    assert.equal(flags['enable-worker'], true)
    assert.deepEqual(args, ['false'])
  })

  it('takes the word after any other flag, whatever it looks like', () => {
    assert.equal(parse(['--config', '/a.yaml']).flags.config, '/a.yaml')
    assert.equal(parse(['--config=/a=b.yaml']).flags.config, '/a=b.yaml')
    assert.deepEqual(parse(['--labels', '--debug']).flags.labels, ['--debug'])
    refuses(['--expiry'], /^--expiry needs a value: it takes a duration such as 30s or 1h30m$/)
    refuses(['-o'], /^-o needs a value: it takes one of json, yaml$/)
  })

  it('reads short flags: apart, joined, with =, in clusters', () => {
    for (const argv of [['-o', 'json'], ['-ojson'], ['-o=json'], ['-do', 'json'], ['-dojson'], ['-vdo=json']])
      assert.equal(parse(argv).flags.output, 'json', argv.join(' '))
    assert.equal(parse(['-vd']).flags.debug, true)
    refuses(['-vx'], /^unknown flag -x in -vx for "k0s x"/)
  })

  it('ends the flags at --', () => {
    assert.deepEqual(parse(['a', '--', '--debug', '--', 'b']).args, ['a', '--debug', '--', 'b'])
    assert.deepEqual(parse(['-', 'x']).args, ['-', 'x'])
  })

  it('joins lists and maps, comma-separated and repeated', () => {
    assert.deepEqual(parse(['--labels', 'a=1,b=2', '--labels=c=3']).flags.labels, ['a=1', 'b=2', 'c=3'])
    assert.deepEqual(parse(['--labels', '"a=1,2",b']).flags.labels, ['a=1,2', 'b'])
    assert.deepEqual(parse(['-e', 'A=1,2', '-e', 'B']).flags.env, ['A=1,2', 'B'])
    assert.deepEqual(parse(['-l', 'a=1,b=2', '--logging', 'b=3']).flags.logging, { a: '1', b: '3' })
    assert.deepEqual(parse(['--feature-gates', 'A=true,B=f']).flags['feature-gates'], { A: true, B: false })
    refuses(['--logging', 'a'], /--logging \("a" has no key or no =\): it takes a list key=value/)
    refuses(['--labels', 'a"b'], /a quote is not closed/)
  })

  it('lets the last scalar win and reports what was set', () => {
    const parsed = parse(['--count', '2', '--count=3'])
    assert.equal(parsed.flags.count, 3)
    assert.deepEqual([...parsed.changed], ['count'])
    refuses(['--count', '10'], /it takes a whole number from 1 to 9/)
    refuses(['--count', '1.5'], /it takes a whole number/)
  })

  it('takes defaults from the environment, and the command line over them', () => {
    assert.equal(parse([], { DEBUG: 'true' }).flags.debug, true)
    assert.equal(parse(['--debug=false'], { DEBUG: 'true' }).flags.debug, false)
    assert.equal(parse([], { DEBUG: 'express:*' }).flags.debug, false)
    assert.equal(parse([], {}).flags.expiry, 0)
  })

  it('names what is unknown and what was meant', () => {
    refuses(['--enable-workers'], /^unknown flag --enable-workers for "k0s x", did you mean --enable-worker\? /)
    refuses(['--enableworker'], /did you mean --enable-worker\?/)
    refuses(['--bogus=1'], /^unknown flag --bogus for "k0s x" \(see k0s x --help\)$/)
    refuses(['--toString'], /^unknown flag --toString/)
    refuses(['--=x'], /^bad flag syntax: --=x$/)
    refuses(['---x'], /^bad flag syntax: ---x$/)
  })

  it('refuses a flag whose feature is not there yet, but not its default', () => {
    refuses(['--dynamic'], /^--dynamic is not available in this version: edit the configuration file instead$/)
    assert.equal(parse(['--dynamic=false']).flags.dynamic, false)
  })

  it('asks for help before it complains', () => {
    assert.equal(parse(['--help', '--bogus']).help, true)
    assert.equal(parse(['-h']).help, true)
    assert.equal(parse(['--', '--help']).help, false)
  })
})
