import { isMap, parseAllDocuments } from 'yaml'
import type { Problem } from '#pkg/config/problem.ts'

/** A YAML document, or why it is none. */
export type ParsedYaml = { readonly value: unknown } | { readonly problems: readonly Problem[] }

/** Parses the one YAML 1.2 document of a file; an empty file is an empty document. Errors name line and column. */
export function parseYaml(text: string): ParsedYaml {
  const documents = parseAllDocuments(text, { prettyErrors: true })
  if (!Array.isArray(documents)) return { value: {} } // the library's way to say that there is no document
  if (documents.length > 1) return { problems: [{ path: '', message: 'more than one YAML document; keep one' }] }
  const [document] = documents
  if (document === undefined || document.contents === null) return { value: {} }
  if (document.errors.length > 0) {
    return { problems: document.errors.map((error) => ({ path: '', message: yamlMessage(error) })) }
  }
  if (!isMap(document.contents)) return { problems: [{ path: '', message: 'not a mapping of keys to values' }] }
  try {
    return { value: document.toJS({ maxAliasCount: 100 }) as unknown }
  } catch (err) {
    return { problems: [{ path: '', message: `YAML aliases: ${(err as Error).message}` }] }
  }
}

/** The library's message up to the excerpt of the text, which begins after a colon and a line break. */
function yamlMessage(error: {
  readonly message: string
  readonly linePos?: readonly [{ readonly line: number; readonly col: number }, ...unknown[]] | undefined
}): string {
  const [first = ''] = error.message.split('\n')
  const text = first.replace(/ at line \d+, column \d+:?$/, '')
  const at = error.linePos?.[0]
  return at === undefined ? text : `line ${at.line}, column ${at.col}: ${text}`
}
