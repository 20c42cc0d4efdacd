comment on column coverage.read_again is 'Of pass 0: the part of ranges that a reading at least a day after the first one found to be complete. The rest was read once.';
