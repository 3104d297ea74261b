import type { CommandDefinition } from '#cmd/define.ts'
import { version } from '#cmd/version.ts'

/** Every command; a bundle has no folder to discover them in. */
export const commands: readonly CommandDefinition[] = [version]
