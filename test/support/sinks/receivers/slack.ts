import { messengerKind } from '../messenger-kind.ts';

export const receiver = messengerKind('slack');
