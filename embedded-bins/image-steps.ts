import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { runCommand } from '#embedded-bins/run-command.ts'
import type { Outputs, Step, StepContext } from '#embedded-bins/step.ts'
import { versions } from '#embedded-bins/versions.ts'
import { writeImageArchive } from '#pkg/oci/archive.ts'
import type { ImageFile, ImageOptions } from '#pkg/oci/archive.ts'

/** The user that the images run as: numeric, so that `runAsNonRoot` holds without a passwd file. */
const NON_ROOT = '65532:65532'
/** The code that decides what is in an archive: a change of it makes every archive anew. */
const codeFiles = [
  import.meta.filename,
  ...['archive', 'tar'].map((name) => join(import.meta.dirname, `../pkg/oci/${name}.ts`)),
]
/** Writable by every user, as /tmp is everywhere. */
const temporaryDirectory: ImageFile = { kind: 'directory', path: '/tmp', mode: 0o1777 }

/** How one image is made from outputs of earlier steps. */
interface ImageDefinition {
  readonly name: string
  readonly ref: string
  readonly forTests: boolean
  /** The steps whose outputs are in the image. */
  readonly from: readonly string[]
  readonly options: (outputs: Outputs, signal: AbortSignal) => Promise<Omit<ImageOptions, 'ref' | 'architecture'>>
}

/** An image that is one static program. */
function programImage(
  name: string,
  image: { readonly ref: string; readonly forTests: boolean },
  path: string,
): ImageDefinition {
  return {
    name,
    ...image,
    from: [name],
    options: (outputs) =>
      Promise.resolve({
        files: [{ kind: 'file', path, source: outputs.path(name) }, temporaryDirectory],
        entrypoint: [path],
        user: NON_ROOT,
      }),
  }
}

const definitions: readonly ImageDefinition[] = [
  programImage('pause', { ref: versions.images.pause, forTests: false }, '/pause'),
  programImage('coredns', { ref: versions.images.coredns, forTests: false }, '/coredns'),
  programImage('metrics-server', { ref: versions.images['metrics-server'], forTests: false }, '/metrics-server'),
  programImage('agnhost', { ref: versions.testImages.agnhost, forTests: true }, '/agnhost'),
  {
    name: 'tools',
    ref: versions.testImages.tools,
    forTests: true,
    from: ['busybox'],
    options: async (outputs, signal) => ({
      files: [
        { kind: 'file', path: '/bin/busybox', source: outputs.path('busybox') },
        ...(await busyboxLinks(outputs.path('busybox'), signal)),
        {
          kind: 'file',
          path: '/etc/passwd',
          mode: 0o644,
          source: Buffer.from('root:x:0:0::/:/bin/sh\nuser:x:65532:65532::/tmp:/bin/sh\n'),
        },
        { kind: 'file', path: '/etc/group', mode: 0o644, source: Buffer.from('root:x:0:\nuser:x:65532:\n') },
        temporaryDirectory,
      ],
      entrypoint: [],
      cmd: ['/bin/sh'],
      user: NON_ROOT,
    }),
  },
]

/** One step for every image; each is known by the checksums of the programs in it. */
export function imageSteps(goarch: string): readonly Step[] {
  return definitions.map((definition) => ({
    name: `image-${definition.name}`,
    group: 'images',
    output: imageFile(definition),
    forTests: definition.forTests,
    coldSeconds: 1,
    material: async (outputs) => [
      await Promise.all(codeFiles.map((path) => readFile(path, 'utf8'))),
      goarch,
      definition.ref,
      definition.from.map((name) => outputs.sha256(name)),
    ],
    make: async (path: string, { outputs, signal }: StepContext) => {
      const options = await definition.options(outputs, signal)
      await writeImageArchive({ ...options, ref: definition.ref, architecture: goarch }, path)
    },
  }))
}

/** The steps that an image step reads the outputs of. */
export function imageSources(stepName: string): readonly string[] {
  return definitions.find(({ name }) => `image-${name}` === stepName)?.from ?? []
}

/** What is written to staging/images.json and test-images.json: each image's reference and archive. */
export function imageManifest(
  forTests: boolean,
): Readonly<Record<string, { readonly ref: string; readonly file: string }>> {
  const chosen = definitions.filter((definition) => definition.forTests === forTests)
  return Object.fromEntries(
    chosen.map((definition) => [definition.name, { ref: definition.ref, file: imageFile(definition) }]),
  )
}

function imageFile({ name, forTests }: ImageDefinition): string {
  return `${forTests ? 'test-images' : 'images'}/${name}.tar`
}

/** Symbolic links for every applet, found by asking the program itself. */
async function busyboxLinks(path: string, signal: AbortSignal): Promise<readonly ImageFile[]> {
  const applets = (await runCommand({ argv: [path, '--list'] }, signal)).trim().split('\n')
  return applets
    .filter((applet) => applet !== 'busybox')
    .map((applet) => ({ kind: 'symlink', path: `/bin/${applet}`, target: 'busybox' }))
}
