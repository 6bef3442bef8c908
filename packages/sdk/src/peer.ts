/**
 * Who is at the other end of a Unix socket, as the kernel says it (SO_PEERCRED).
 *
 * Node has no call for it: koffi asks libc, with the descriptor that the socket keeps in a private field; a test pins that
 * field. koffi is loaded at the first question, for most of what uses this package never asks.
 */
import type * as Koffi from 'koffi';
import { createRequire } from 'node:module';
import type { Socket } from 'node:net';
import { type Failure, type Result, err, failure, ok } from '@runloop/core';

export type PeerCredentials = { readonly uid: number; readonly gid: number; readonly pid: number };

type GetSockOpt = (fd: number, level: number, name: number, value: Uint8Array, length: Uint8Array) => number;

const solSocket = 1;
const soPeerCred = 17;
/** `struct ucred`: pid, uid, gid, each 32 bits in the machine's order. */
const credBytes = 12;

let loaded: GetSockOpt | undefined;

function getSockOpt(): GetSockOpt {
  if (loaded === undefined) {
    const koffi = createRequire(import.meta.url)('koffi') as typeof Koffi;
    const declared = koffi.load('libc.so.6').func('int getsockopt(int, int, int, void *, void *)');
    loaded = declared as unknown as GetSockOpt;
  }
  return loaded;
}

export function peerCredentials(socket: Socket): Result<PeerCredentials, Failure> {
  const fd = descriptorOf(socket);
  if (fd === undefined)
    return err(failure('Internal', 'this socket has no descriptor: it is closed, or Node changed inside'));
  const value = Buffer.alloc(credBytes);
  const length = Buffer.alloc(4);
  const view = new DataView(value.buffer, value.byteOffset, credBytes);
  const little = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;
  new DataView(length.buffer, length.byteOffset, 4).setUint32(0, credBytes, little);
  try {
    if (getSockOpt()(fd, solSocket, soPeerCred, value, length) !== 0) {
      return err(failure('Internal', 'the kernel does not say who is at the other end of the socket'));
    }
  } catch (error) {
    return err(failure('Internal', `libc cannot be asked who the peer is: ${String(error)}`));
  }
  return ok({ pid: view.getInt32(0, little), uid: view.getUint32(4, little), gid: view.getUint32(8, little) });
}

function descriptorOf(socket: Socket): number | undefined {
  const handle: unknown = Reflect.get(socket, '_handle');
  const fd: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : undefined;
  return typeof fd === 'number' && fd >= 0 ? fd : undefined;
}
