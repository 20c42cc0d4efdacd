import { create, createFileRegistry, type DescMessage, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorProtoSchema,
} from '@bufbuild/protobuf/wkt';

type Value = Readonly<{ value: { case: 'stringValue'; value: string } | { case: 'intValue'; value: bigint } }>;

export interface KeyValue {
  readonly key: string;
  readonly value: Value;
}

export interface LogRecord {
  /** Nanoseconds since 1970; 0: unknown. */
  readonly timeUnixNano: bigint;
  readonly observedTimeUnixNano: bigint;
  /** 1 to 24. */
  readonly severityNumber: number;
  readonly severityText: string;
  readonly body: Value;
  readonly attributes: readonly KeyValue[];
  readonly eventName: string;
}

export const attribute = (key: string, value: string | bigint | null | undefined): readonly KeyValue[] =>
  value === null || value === undefined
    ? []
    : [{ key, value: typeof value === 'string' ? textValue(value) : intValue(value) }];

export const textValue = (value: string): Value => ({ value: { case: 'stringValue', value } });
const intValue = (value: bigint): Value => ({ value: { case: 'intValue', value } });

/** The bytes of an ExportLogsServiceRequest of one resource and one scope. */
export const writeRequest = (
  resource: readonly KeyValue[],
  scope: Readonly<{ name: string; version: string }>,
  logRecords: readonly LogRecord[],
): Uint8Array =>
  toBinary(
    messages.ExportLogsServiceRequest,
    create(messages.ExportLogsServiceRequest, {
      resourceLogs: [{ resource: { attributes: resource }, scopeLogs: [{ scope, logRecords }] }],
    }),
  );

export interface PartialSuccess {
  readonly rejectedLogRecords: bigint;
  readonly errorMessage: string;
}

/** Undefined: all were taken. Throws for other bytes. */
export const readAnswer = (bytes: Uint8Array): PartialSuccess | undefined =>
  read<{ partialSuccess?: PartialSuccess }>(messages.ExportLogsServiceResponse, bytes).partialSuccess;

/** The message of a google.rpc.Status. Throws for other bytes. */
export const readStatus = (bytes: Uint8Array): string => read<{ message: string }>(messages.Status, bytes).message;

const read = <T>(message: DescMessage, bytes: Uint8Array): T => fromBinary(message, bytes) as unknown as T;

type Field = readonly [number: number, name: string, type: keyof typeof scalars | MessageName | readonly [MessageName]];

/**
 * Of opentelemetry-proto 1.5 (logs.proto, common.proto, resource.proto, logs_service.proto) and google.rpc.Status: the fields
 * that are written or read.
 */
const fields = {
  ExportLogsServiceRequest: [[1, 'resource_logs', ['ResourceLogs']]],
  ResourceLogs: [
    [1, 'resource', 'Resource'],
    [2, 'scope_logs', ['ScopeLogs']],
  ],
  Resource: [[1, 'attributes', ['KeyValue']]],
  ScopeLogs: [
    [1, 'scope', 'InstrumentationScope'],
    [2, 'log_records', ['LogRecord']],
  ],
  InstrumentationScope: [
    [1, 'name', 'string'],
    [2, 'version', 'string'],
  ],
  LogRecord: [
    [1, 'time_unix_nano', 'fixed64'],
    [2, 'severity_number', 'int32'],
    [3, 'severity_text', 'string'],
    [5, 'body', 'AnyValue'],
    [6, 'attributes', ['KeyValue']],
    [11, 'observed_time_unix_nano', 'fixed64'],
    [12, 'event_name', 'string'],
  ],
  KeyValue: [
    [1, 'key', 'string'],
    [2, 'value', 'AnyValue'],
  ],
  // A choice.
  AnyValue: [
    [1, 'string_value', 'string'],
    [3, 'int_value', 'int64'],
  ],
  ExportLogsServiceResponse: [[1, 'partial_success', 'ExportLogsPartialSuccess']],
  ExportLogsPartialSuccess: [
    [1, 'rejected_log_records', 'int64'],
    [2, 'error_message', 'string'],
  ],
  Status: [
    [1, 'code', 'int32'],
    [2, 'message', 'string'],
    [3, 'details', ['Any']],
  ],
  Any: [
    [1, 'type_url', 'string'],
    [2, 'value', 'bytes'],
  ],
} as const satisfies Readonly<Record<string, readonly (readonly [number, string, string | readonly [string]])[]>>;

type MessageName = keyof typeof fields;

const { STRING, BYTES, INT32, INT64, FIXED64, MESSAGE } = FieldDescriptorProto_Type;
const scalars = { string: STRING, bytes: BYTES, int32: INT32, int64: INT64, fixed64: FIXED64 } as const;

const describeField = ([number, name, given]: Field, oneof: { oneofIndex?: number }) => {
  const isList = Array.isArray(given);
  const type = (isList ? given[0] : given) as string;
  const scalar = scalars[type as keyof typeof scalars];
  return {
    name,
    number,
    label: isList ? FieldDescriptorProto_Label.REPEATED : FieldDescriptorProto_Label.OPTIONAL,
    ...(scalar === undefined ? { type: MESSAGE, typeName: `.otlp.${type}` } : { type: scalar }),
    ...oneof,
  };
};

const registry = createFileRegistry(
  create(FileDescriptorProtoSchema, {
    name: 'otlp.proto',
    package: 'otlp',
    syntax: 'proto3',
    messageType: Object.entries(fields).map(([name, own]) => {
      const isChoice = name === 'AnyValue';
      return {
        name,
        field: (own as readonly Field[]).map((field) => describeField(field, isChoice ? { oneofIndex: 0 } : {})),
        oneofDecl: isChoice ? [{ name: 'value' }] : [],
      };
    }),
  }),
  () => undefined,
);

const messages = Object.fromEntries(
  Object.keys(fields).map((name) => [name, registry.getMessage(`otlp.${name}`)]),
) as Readonly<Record<MessageName, DescMessage>>;
