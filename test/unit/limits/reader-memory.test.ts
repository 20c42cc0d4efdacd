import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ReaderMemory } from '../../../src/base/memory.ts';
import { seededRandom } from '../../support/process/seeded-random.ts';
import { forAll } from '../for-all.ts';

const never = new AbortController().signal;

describe('the memory of pieces', () => {
  test('lends large pieces to few and small ones to many, never more than all of it', () => {
    const memory = new ReaderMemory();
    const sizes = Array.from({ length: 128 }, () => memory.lend(100 * MIB).length);
    expect(sizes[0]).toBe(8 * MIB);
    expect(sizes[1]).toBeGreaterThanOrEqual(4 * MIB);
    expect(sizes.at(-1)).toBe(SMALLEST);
    expect(memory.lentBytes).toBe(sizes.reduce((sum, size) => sum + size, 0));
    expect(memory.lentBytes).toBeLessThanOrEqual(64 * MIB);
  });

  test('lends no more than is asked for', () => {
    const memory = new ReaderMemory();
    expect(memory.lend(1).length).toBe(SMALLEST);
    expect(memory.lend(MIB).length).toBe(MIB);
    expect(memory.lend(3 * MIB).length).toBe(2 * MIB);
  });

  test('uses again what was given back', () => {
    const memory = new ReaderMemory();
    const lent = memory.lend(MIB);
    memory.giveBack(lent);
    expect(memory.lentBytes).toBe(0);
    expect(memory.lend(MIB)).toBe(lent);
    const shared = memory.lend(MIB, 'shared');
    expect(shared.buffer).toBeInstanceOf(SharedArrayBuffer);
    memory.giveBack(shared);
    expect(memory.lend(MIB).buffer).not.toBeInstanceOf(SharedArrayBuffer);
    expect(memory.lend(MIB, 'shared')).toBe(shared);
    expect(() => memory.giveBack(Buffer.alloc(1))).toThrow('not lent');
  });

  test('whatever is lent and given back, two of the smallest pieces for each stream are always available', () => {
    const step = fc.record({
      do: fc.constantFrom('give', 'lend', 'spare'),
      bytes: fc.integer({ min: 1, max: 20 * MIB }),
      which: fc.nat(),
    });
    forAll([fc.array(step, { maxLength: 200 })], { numRuns: 200 }, (steps) => {
      const memory = new ReaderMemory({ totalBytes: 16 * MIB, streams: 8 });
      const lent: Buffer[] = [];
      const spare: Buffer[] = [];
      for (const { do: action, bytes, which } of steps) {
        const from = which % 2 === 0 ? lent : spare;
        const [buffer] = action === 'give' ? from.splice(which % Math.max(1, from.length), 1) : [];
        const more = action === 'spare' ? memory.lendSpare(bytes) : undefined;
        if (buffer !== undefined) memory.giveBack(buffer);
        if (more !== undefined) spare.push(more);
        if (action === 'lend' && lent.length < 16) lent.push(memory.lend(bytes));
        expect(memory.lentBytes + (16 - lent.length) * SMALLEST).toBeLessThanOrEqual(16 * MIB);
      }
    });
  });

  test('lends more than two to a stream while there is much, and none of it while a large event waits', async () => {
    const memory = new ReaderMemory({ totalBytes: 16 * MIB, streams: 8 });
    const first = memory.lendSpare(100 * MIB);
    expect(first?.length).toBe(2 * MIB);
    const more: Buffer[] = [];
    for (let next = memory.lendSpare(MIB); next !== undefined; next = memory.lendSpare(MIB)) more.push(next);
    expect(more.length).toBeGreaterThan(3);
    const waiting = memory.lendLarge(2 * MIB, 11 * MIB, never);
    expect(memory.lendSpare(1)).toBeUndefined();
    for (const buffer of more) memory.giveBack(buffer);
    await Promise.resolve();
    expect(memory.lendSpare(1)).toBeUndefined();
    memory.giveBack(first as Buffer);
    expect((await waiting).length).toBe(11 * MIB);
  });

  test('a large entry waits until five times as much is free; meanwhile others get the smallest pieces', async () => {
    const memory = new ReaderMemory({ totalBytes: 16 * MIB, streams: 8 });
    const others = Array.from({ length: 8 }, () => memory.lend(8 * MIB));
    let large: Buffer | undefined;
    const lending = memory.lendLarge(2 * MIB, 2 * MIB, never).then((buffer) => {
      large = buffer;
    });
    expect(memory.lend(8 * MIB).length).toBe(SMALLEST);
    for (const buffer of others.slice(1)) memory.giveBack(buffer);
    await Promise.resolve();
    expect(large).toBeUndefined();
    memory.giveBack(others[0] as Buffer);
    await lending;
    expect(large?.length).toBe(2 * MIB);
    expect(memory.lentBytes).toBe(10 * MIB + SMALLEST);
  });

  test('one that is larger than everything is lent alone', async () => {
    const memory = new ReaderMemory({ totalBytes: 16 * MIB, streams: 8 });
    const small = memory.lend(1);
    const giant = await memory.lendLarge(40 * MIB, 40 * MIB, never);
    expect(giant.length).toBe(40 * MIB);
    expect(memory.lend(8 * MIB).length).toBe(SMALLEST);
    const gone = new AbortController();
    const second = memory.lendLarge(MIB, MIB, gone.signal);
    gone.abort(new Error('gone'));
    await expect(second).rejects.toThrow('gone');
    memory.giveBack(giant);
    memory.giveBack(small);
    expect((await memory.lendLarge(2 * MIB, 9 * MIB, never)).length).toBe(9 * MIB);
  });

  test('first come, first served: one that fits does not overtake a larger one, nor one that came later', async () => {
    const memory = new ReaderMemory({ totalBytes: 16 * MIB, streams: 8 });
    const giveBack = await memory.acquire(2 * MIB, never);
    const order: string[] = [];
    const take = async (name: string, bytes: number) => {
      const release = await memory.acquire(bytes, never);
      order.push(name);
      expect(memory.lentBytes).toBeLessThanOrEqual(12 * MIB);
      await Promise.resolve();
      release();
    };
    const all = [take('large', 2.2 * MIB), take('small', 0.3 * MIB), take('last', 2 * MIB)];
    giveBack();
    all.push(take('late', 0.3 * MIB));
    await Promise.all(all);
    expect(order).toEqual(['large', 'small', 'last', 'late']);
    expect(memory.lentBytes).toBe(0);
  });

  test('readers of every kind that hold some and come again for more all come to their end', async () => {
    const random = seededRandom(1);
    const memory = new ReaderMemory({ totalBytes: 16 * MIB, streams: 8 });
    const pause = () => new Promise((resolve) => setImmediate(resolve));
    const ofFeed = async () => {
      for (let step = 0; step < 30; step += 1) {
        const pieces = [memory.lend(8 * MIB * random()), memory.lend(8 * MIB * random()), memory.lendSpare(8 * MIB)];
        await pause();
        for (const piece of pieces) if (piece !== undefined) memory.giveBack(piece);
        const large = await memory.lendLarge(5 * MIB * random(), MIB, never);
        await pause();
        memory.giveBack(large);
      }
    };
    const ofPages = async () => {
      for (let step = 0; step < 30; step += 1) {
        const giveBack = await memory.acquire(5 * MIB * random(), never);
        await pause();
        giveBack();
      }
    };
    await Promise.all([...Array.from({ length: 8 }, ofFeed), ...Array.from({ length: 8 }, ofPages)]);
    expect(memory.lentBytes).toBe(0);
  });
});

const KIB = 1_024;
const MIB = 1_048_576;
const SMALLEST = 256 * KIB;
