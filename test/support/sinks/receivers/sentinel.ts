import { vendorKind } from '../vendor-kind.ts';

export const receiver = vendorKind('sentinel');
