# Only wraps the npm scripts.
default:
    @just --list

demo:
    npm run demo

test *args:
    npm test -- {{args}}

build:
    npm run build

lint:
    npm run lint

format:
    npm run format

bench *args:
    npm run bench -- {{args}}
