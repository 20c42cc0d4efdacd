import { childrenOf, isNode, type Node, parse } from '../../scripts/rooms/imports.ts';
import type { Fault } from './draw.ts';
import { faultsOfSql } from './faults-of-sql.ts';

const otherOperator = new Map(
  Object.entries({
    '===': '!==',
    '!==': '===',
    '<': '<=',
    '<=': '<',
    '>': '>=',
    '>=': '>',
    '+': '-',
    '-': '+',
    '*': '/',
    '/': '*',
    '%': '*',
    '&&': '||',
    '||': '&&',
    '+=': '-=',
    '-=': '+=',
  }),
);
const otherMethod = new Map([
  ['some', 'every'],
  ['every', 'some'],
  ['min', 'max'],
  ['max', 'min'],
]);
/** A chain goes on without them. */
const droppedMethods = [
  'concat',
  'filter',
  'flat',
  'reverse',
  'slice',
  'sort',
  'toLowerCase',
  'toReversed',
  'toSorted',
];
/** All other syntax of types is erased: nothing runs there. */
const expressionsWithTypes = ['TSAsExpression', 'TSNonNullExpression', 'TSSatisfiesExpression'];
const looksLikeSql =
  /^[`'"\s(]*(select|insert into|update|delete from|with|where|and|or|order by|from|left join|join)\s/;

/** All faults of a file. Those of SQL texts are among them: `isSql` if all its texts may be SQL. */
export const faultsOfTypescript = (source: string, isSql: boolean): Fault[] => {
  const faults: Fault[] = [];
  const add = (start: number, end: number, text: string) => faults.push({ start, end, text });
  const textOf = (node: Node) => source.slice(node.start, node.end);
  const visit = (node: Node): void => {
    if (node.type === 'ImportDeclaration') return;
    if (node.type.startsWith('TS') && !expressionsWithTypes.includes(node.type)) return;
    faultsAt[node.type]?.({ node, add, textOf });
    const isText = node.type === 'TemplateLiteral' || (node.type === 'Literal' && typeof node['value'] === 'string');
    if (isText && (isSql ? / /.test(textOf(node)) : looksLikeSql.test(textOf(node)))) {
      const parts = node.type === 'Literal' ? [{ ...node, start: node.start + 1, end: node.end - 1 }] : node['quasis'];
      for (const part of parts as Node[]) faults.push(...faultsOfSql(source, part.start, part.end));
    }
    for (const child of childrenOf(node)) visit(child);
  };
  visit(parse(source));
  return faults;
};

interface At {
  readonly node: Node;
  readonly add: (start: number, end: number, text: string) => void;
  readonly textOf: (node: Node) => string;
}

const operator = ({ node, add, textOf }: At): void => {
  const [left, right, own] = [node['left'] as Node, node['right'] as Node, node['operator'] as string];
  const other = otherOperator.get(own);
  const joinsTexts = own.startsWith('+') && [left, right].some((side) => /^['"`]/.test(textOf(side)));
  if (other === undefined || joinsTexts) return;
  const start = left.end + textOf({ ...node, start: left.end, end: right.start }).indexOf(own);
  add(start, start + own.length, other);
};

const condition = ({ node, add }: At): void => {
  const test = node['test'];
  if (!isNode(test)) return;
  // A loop that never ends is no fault to speak of.
  for (const text of node.type.endsWith('Statement') && node.type !== 'IfStatement' ? ['false'] : ['true', 'false']) {
    add(test.start, test.end, text);
  }
};

const droppedStatement = ({ node, add }: At): void => add(node.start, node.end, ';');

const faultsAt: Record<string, (at: At) => void> = {
  BinaryExpression: operator,
  LogicalExpression: (at) => {
    operator(at);
    if (at.node['operator'] === '??') at.add((at.node['left'] as Node).end, at.node.end, '');
  },
  AssignmentExpression: operator,
  IfStatement: condition,
  ConditionalExpression: condition,
  WhileStatement: condition,
  ForStatement: condition,
  UnaryExpression: ({ node, add }) => {
    if (node['operator'] === '!' || node['operator'] === '-') add(node.start, node.start + 1, '');
  },
  Literal: ({ node, add }) => {
    if (typeof node['value'] === 'number') add(node.start, node.end, String(node['value'] + 1));
    if (typeof node['value'] === 'boolean') add(node.start, node.end, String(!node['value']));
  },
  CallExpression: ({ node, add }) => {
    const callee = node['callee'] as Node;
    const [object, property] = [callee['object'], callee['property']];
    if (!isNode(object) || !isNode(property) || callee['computed'] === true) return;
    const name = String(property['name']);
    const other = otherMethod.get(name);
    if (other !== undefined) add(property.start, property.end, other);
    if (droppedMethods.includes(name)) add(object.end, node.end, '');
  },
  ExpressionStatement: (at) => {
    if (at.node['directive'] === undefined || at.node['directive'] === null) droppedStatement(at);
  },
  ThrowStatement: droppedStatement,
  BreakStatement: droppedStatement,
  ContinueStatement: droppedStatement,
  ReturnStatement: (at) => {
    if (!isNode(at.node['argument'])) droppedStatement(at);
  },
};
