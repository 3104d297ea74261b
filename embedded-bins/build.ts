// Builds every upstream program and image into embedded-bins/staging; README.md beside it says how it works.
import { existsSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { chmod, mkdir, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { parseArgs } from 'node:util'

import { findToolchain, goSteps } from '#embedded-bins/go-steps.ts'
import { imageManifest, imageSources, imageSteps } from '#embedded-bins/image-steps.ts'
import { busyboxStep, calicoCrdsStep, pauseStep } from '#embedded-bins/other-steps.ts'
import { keepalivedStep } from '#embedded-bins/keepalived-step.ts'
import { OutputCache, writeAtomically } from '#embedded-bins/output-cache.ts'
import { goPrograms } from '#embedded-bins/programs.ts'
import { Progress, duration } from '#embedded-bins/progress.ts'
import { rootfsSteps } from '#embedded-bins/rootfs-steps.ts'
import { BuildError, keyOf } from '#embedded-bins/step.ts'
import type { Outputs, Step, StepContext } from '#embedded-bins/step.ts'

const folder = import.meta.dirname
const stagingDir = join(folder, 'staging')
const cacheDir = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'k0s-build')

const USAGE = `usage: node embedded-bins/build.ts [--tests] [--images] [--only name,...] [--list]
  --tests   also build what only the test suites need
  --images  build the images only, and the programs in them
  --only    build these steps or groups only, and what they need
  --list    print the steps and where their outputs go, build nothing`

interface Choice {
  readonly tests: boolean
  readonly images: boolean
  readonly only: readonly string[]
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      tests: { type: 'boolean', default: false },
      images: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(USAGE)
    return
  }
  const interrupted = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => interrupted.abort(new BuildError(`interrupted by ${name}; run it again to go on`)))
  }
  const toolchain = await findToolchain(folder, interrupted.signal)
  const all = [
    ...goSteps(folder, toolchain),
    pauseStep(folder),
    calicoCrdsStep(folder),
    keepalivedStep(),
    busyboxStep(),
    ...rootfsSteps(),
    ...imageSteps(toolchain.goarch),
  ]
  const steps = chosen(all, { ...values, only: values.only.flatMap((list) => list.split(',')) })
  if (values.list) {
    for (const { name, group, output } of steps) console.log(`${name.padEnd(24)} ${group.padEnd(12)} ${output}`)
    return
  }
  await buildAll(steps, interrupted.signal)
}

/** The steps that were asked for and what they are made from, in the order of building. */
function chosen(all: readonly Step[], { tests, images, only }: Choice): readonly Step[] {
  const unknown = only.filter((word) => !all.some(({ name, group }) => word === name || word === group))
  if (unknown.length > 0) throw new BuildError(`--only ${unknown.join(',')}: no such step or group; --list names them`)
  const asked = all.filter(({ name, group, forTests, onRequest }) => {
    if (only.length > 0) return only.includes(name) || only.includes(group)
    return (tests || !forTests) && onRequest !== true && (!images || group === 'images')
  })
  const wanted = new Set(asked.flatMap(({ name }) => [name, ...imageSources(name)]))
  return all.filter(({ name }) => wanted.has(name))
}

async function buildAll(steps: readonly Step[], signal: AbortSignal): Promise<void> {
  using progress = new Progress(process.stderr)
  const startedAt = Date.now()
  const cache = new OutputCache({ stagingDir, cacheDir })
  const finished = new Map<string, { readonly output: string; readonly sha256: string }>()
  const outputs: Outputs = {
    path: (name) => join(stagingDir, finishedStep(name).output),
    sha256: (name) => finishedStep(name).sha256,
  }
  const finishedStep = (name: string): { readonly output: string; readonly sha256: string } => {
    const step = finished.get(name)
    if (step === undefined) throw new BuildError(`${name} is needed and was not built before`)
    return step
  }
  let made = 0
  for (const [index, step] of steps.entries()) {
    signal.throwIfAborted()
    const title = `[${index + 1}/${steps.length}] ${step.name}`
    const result = await buildStep(step, { title, cache, outputs, progress, signal })
    finished.set(step.name, { output: step.output, sha256: result.sha256 })
    if (result.made) made += 1
  }
  await writeManifests()
  progress.print(`${steps.length} outputs in ${stagingDir}, ${made} of them new, ${duration(Date.now() - startedAt)}`)
}

interface StepRun {
  readonly title: string
  readonly cache: OutputCache
  readonly outputs: Outputs
  readonly progress: Progress
  readonly signal: AbortSignal
}

async function buildStep(step: Step, run: StepRun): Promise<{ readonly sha256: string; readonly made: boolean }> {
  const { title, cache, outputs, progress, signal } = run
  const logPath = join(stagingDir, 'logs', `${step.name}.log`)
  const context: StepContext = { signal, outputs, progress: (news) => progress.report(news), log: openLog(logPath) }
  try {
    await step.prepare?.(context)
    const key = keyOf(step, await step.material(outputs))
    const current = await cache.current(step.name, step.output, key)
    if (current !== undefined) return { sha256: current, made: false }
    progress.start(title, step.coldSeconds)
    const restored = await cache.restore(step.name, step.output, key)
    if (restored !== undefined) {
      progress.done('copied from the cache')
      return { sha256: restored, made: true }
    }
    const temporaryPath = cache.temporaryPath(step.output)
    try {
      await mkdir(dirname(temporaryPath), { recursive: true })
      await step.make(temporaryPath, context)
      await chmod(temporaryPath, isProgram(step) ? 0o755 : 0o644)
      const sha256 = await cache.store(step.name, step.output, key)
      progress.done('built')
      return { sha256, made: true }
    } finally {
      await rm(temporaryPath, { force: true })
    }
  } catch (error) {
    if (signal.aborted || !(error instanceof Error)) throw error
    throw new BuildError(`${title} failed. ${error.message}\nThe whole output is in ${logPath}`, { cause: error })
  }
}

function isProgram({ output }: Step): boolean {
  return dirname(output).endsWith('bin')
}

/** A log that is begun anew when the first text comes, so that an unchanged step keeps its last one. */
function openLog(path: string): (text: string) => void {
  let file: number | undefined
  return (text) => {
    mkdirSync(dirname(path), { recursive: true })
    file ??= openSync(path, 'w')
    writeSync(file, text)
  }
}

/** bins.json, images.json and test-images.json: how the rest of the project finds the outputs. */
async function writeManifests(): Promise<void> {
  const product = goPrograms.filter(({ use }) => use === 'product')
  const bins = product.flatMap(({ name, answersTo }) =>
    (answersTo ?? [name]).map((program): [string, { file: string }] => [program, { file: name }]),
  )
  if (existsSync(join(stagingDir, 'bin', 'keepalived'))) bins.push(['keepalived', { file: 'keepalived' }])
  const manifests = {
    'bins.json': Object.fromEntries(bins) as object,
    'images.json': imageManifest(false),
    'test-images.json': imageManifest(true),
  }
  for (const [name, content] of Object.entries(manifests)) {
    await writeAtomically(join(stagingDir, name), `${JSON.stringify(content, null, 2)}\n`)
  }
}

try {
  await main()
} catch (error) {
  const expected = error instanceof BuildError || (error instanceof Error && 'code' in error)
  console.error(`${basename(import.meta.filename)}: ${expected ? error.message : String((error as Error).stack)}`)
  process.exitCode = 1
}
