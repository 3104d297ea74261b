import tseslint from 'typescript-eslint'

// Formatting is Prettier's; what stands here finds faults that types alone do not (floating promises, missing cases).
export default tseslint.config(
  { ignores: ['node_modules', 'build', 'embedded-bins/staging', '**/*.js', '**/*.cjs', '**/*.mjs'] },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      // `${x}` of a `never` in an assertNever message and `void promise` with a reason are clear enough.
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-unnecessary-condition': [
        'error',
        { allowConstantLoopConditions: 'only-allowed-literals' },
      ],
      'no-restricted-syntax': [
        'error',
        { selector: 'ExportDefaultDeclaration', message: 'Named exports only (style 3.6).' },
        { selector: 'TSEnumDeclaration', message: 'Use a union of string literals.' },
      ],
    },
  },
  {
    // process.exit and process.env belong to the command layer and to build or test programs.
    files: ['pkg/**/*.ts', 'konnectivity/**/*.ts'],
    ignores: ['**/*.{test,spec}.ts', 'pkg/kine/suite/**'],
    rules: {
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'exit', message: 'Only cmd ends the process.' },
        { object: 'process', property: 'env', message: 'Only cmd reads the environment; pass the value.' },
      ],
    },
  },
  {
    files: ['**/*.{test,spec}.ts', 'pkg/kine/suite/**/*.ts', 'inttest/**/*.ts'],
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-unsafe-assignment': 'off', // parsed JSON of the product is looked at field by field
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-non-null-assertion': 'off', // a test that meets undefined fails, as it should
    },
  },
)
