import * as Type from 'typebox'
import { goDurationPattern } from '#pkg/apis/duration.ts'

/*
 * Conventions of the ClusterConfig schema. A property with a `default` may be left out of the file and is always there
 * once the configuration is loaded, so its TypeScript type is not optional; one without a default is `Type.Optional`.
 * Objects refuse keys that they do not declare.
 */

/** Type with all properties readonly, at every depth. */
export type DeepReadonly<T> = T extends readonly (infer E)[]
  ? readonly DeepReadonly<E>[]
  : T extends object
    ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
    : T

/** An object that is the item of a list: keys without a default must be given. */
export function item<P extends Type.TProperties>(properties: P): Type.TObject<P> {
  return Type.Object(properties, { additionalProperties: false })
}

/** An object that may be left out and then consists of its defaults. */
export function section<P extends Type.TProperties>(description: string, properties: P): Type.TObject<P> {
  return Type.Object(properties, { description, additionalProperties: false, default: {} })
}

/** One of a few words. */
export function oneOf<const W extends string>(
  words: readonly W[],
  options: { readonly description: string; readonly default?: W },
): Type.TUnsafe<W> {
  return Type.Unsafe<W>({ type: 'string', enum: [...words], ...options })
}

/** A TCP or UDP port. */
export function port(description: string, value: number): Type.TInteger {
  return Type.Integer({ description, default: value, minimum: 1, maximum: 65535 })
}

/** A Go duration. */
export function duration(description: string, value?: string): Type.TString {
  return Type.String({
    description,
    pattern: goDurationPattern,
    ...(value === undefined ? {} : { default: value }),
  })
}

/** A list of strings, empty by default. */
export function strings(description: string): Type.TArray<Type.TString> {
  return Type.Array(Type.String(), { description, default: [] })
}

/** Flags as a map: replace or add to the generated ones. */
export const extraArgs = Type.Record(Type.String(), Type.String(), {
  description: 'Flags of the program, without leading dashes; they replace the generated ones of the same name.',
  default: {},
})

/** Flags as a list, for those that can be given more than once. */
export const rawArgs = Type.Array(Type.String(), {
  description: 'Flags appended to the command line as they are, after all others.',
  default: [],
})

/** Reference of one container image. */
export const image = item({
  image: Type.Optional(Type.String({ description: 'Name without tag.' })),
  version: Type.Optional(Type.String({ description: 'Tag, may carry a digest.' })),
})

/** Changes to rendered manifests. */
export const patches = Type.Array(
  item({
    target: item({
      kind: Type.String({ description: 'Kind of the object, for example Deployment.', minLength: 1 }),
      name: Type.String({ description: 'Its name.', minLength: 1 }),
      namespace: Type.Optional(Type.String({ description: 'Its namespace; any when left out.' })),
    }),
    patch: item({
      type: oneOf(['JSON', 'MergePatch', 'StrategicMergePatch'], {
        description: 'How content is applied: RFC 6902, RFC 7386, or as kubectl patch does by default.',
      }),
      content: Type.String({ description: 'The patch, YAML or JSON.' }),
    }),
  }),
  { description: 'Experimental: changes to the rendered manifests, in this order.', default: [] },
)
