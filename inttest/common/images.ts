import versions from '#embedded-bins/versions.json' with { type: 'json' }

/** Reference of an image that only tests and the demo use; its archive is placed on the workers before they start. */
export function testImage(name: keyof typeof versions.testImages): string {
  return versions.testImages[name]
}

/** File names of the archives under embedded-bins/staging/test-images. */
export const testImageArchives = Object.keys(versions.testImages).map((name) => `${name}.tar`)
