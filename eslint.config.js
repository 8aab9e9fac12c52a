import js from '@eslint/js';
import globals from 'globals';

export default [
  { ignores: ['!**/', '.venv/', 'site/', 'build/', 'dist/'] },
  js.configs.recommended,
  {
    files: ['src/duetal/report/assets/*.js'],
    languageOptions: { sourceType: 'module', globals: globals.browser },
    rules: {
      eqeqeq: 'error',
      'no-shadow': 'error',
      'no-var': 'error',
      'object-shorthand': 'error',
      'prefer-const': 'error',
      // Text enters a page through textContent and attributes alone.
      'no-restricted-properties': ['error',
        ...['innerHTML', 'outerHTML', 'insertAdjacentHTML', 'write'].map((property) => ({ property }))],
    },
  },
];
