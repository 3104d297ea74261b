import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { Plugin } from 'esbuild'

/** What is used of protobufjs. */
interface Protobuf {
  readonly Root: new () => {
    loadSync(path: string, options: { readonly keepCase: boolean }): { toJSON(): unknown }
  }
}

/**
 * etcd3 reads its .proto files beside its code when it is loaded. A bundle has no such files: it gets what they say as data,
 * and the parser does not run.
 */
export const etcd3Protocol: Plugin = {
  name: 'etcd3-protocol',
  setup: (esbuild) => {
    esbuild.onLoad({ filter: /\/etcd3\/lib\/connection-pool\.js$/ }, async ({ path }) => {
      const code = await readFile(path, 'utf8')
      const call = /\.loadSync\)\(`\$\{__dirname\}\/\.\.\/proto\/rpc\.proto`, \{/
      if (!call.test(code))
        throw new Error(`${path} loads its protocol in another way: correct embedded-bins/bundle/etcd3.ts`)
      const json = JSON.stringify(protocol(path))
      return { contents: code.replace(call, () => `.fromJSON)(${json}, {`), loader: 'js' }
    })
  },
}

function protocol(module: string): unknown {
  const loader = createRequire(module).resolve('@grpc/proto-loader')
  const { Root } = createRequire(loader)('protobufjs') as Protobuf
  return new Root().loadSync(join(dirname(module), '../proto/rpc.proto'), { keepCase: true }).toJSON()
}
