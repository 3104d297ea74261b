import versionsFile from '#embedded-bins/versions.json' with { type: 'json' }

/** Every version that the build knows: the one statement of them is versions.json. */
export type Versions = typeof versionsFile
export const versions: Versions = versionsFile
