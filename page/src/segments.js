// What the segment map shows: the allocator's segments with the tensor blocks inside, laid out so that area is memory.
// Pure: no drawing here.

/**
 * Segments of one device: torch's own blocks of the cuda layer (neighbours that touch are one: expandable segments
 * come as many small mappings). Each has `from`..`to` into blocks (address order).
 */
export function findSegments(model, device) {
  const { blocks, sites } = model;
  const torch = model.strings.indexOf("torch");
  const segments = [];
  const inner = [];
  for (let i = 0; i < blocks.length; ++i) {
    if (blocks.device[i] !== device) continue;
    if (blocks.layer[i] === model.tensorLayer) {
      inner.push(i);
      continue;
    }
    if (sites.owner[blocks.site[i]] !== torch || !["device", "vmm", "pool"].includes(model.text(blocks.kind[i])))
      continue;
    const last = segments[segments.length - 1];
    if (last && model.text(blocks.kind[i]) === "vmm" && last.vmm && last.address + last.bytes === blocks.address[i]) {
      last.bytes += blocks.bytes[i];
      last.pieces += 1;
    } else {
      segments.push({
        address: blocks.address[i],
        bytes: blocks.bytes[i],
        vmm: model.text(blocks.kind[i]) === "vmm",
        pieces: 1,
        block: i,
      });
    }
  }
  let outside = 0;
  let outsideBytes = 0;
  let at = 0;
  for (const segment of segments) Object.assign(segment, { blocks: [], live: 0, hole: 0 });
  for (const block of inner) {
    const address = blocks.address[block];
    while (at < segments.length && segments[at].address + segments[at].bytes <= address) ++at;
    const segment = segments[at];
    if (!segment || address < segment.address) {
      outside += 1;
      outsideBytes += blocks.bytes[block];
      continue;
    }
    segment.blocks.push(block);
    segment.live += blocks.bytes[block];
  }
  for (const segment of segments) segment.hole = largestHole(blocks, segment);
  return { segments, outside, outsideBytes };
}

function largestHole(blocks, segment) {
  let hole = 0;
  let end = segment.address;
  for (const block of segment.blocks) {
    hole = Math.max(hole, blocks.address[block] - end);
    end = Math.max(end, blocks.address[block] + blocks.bytes[block]);
  }
  return Math.max(hole, segment.address + segment.bytes - end);
}

/** Places segments in rows of `rowBytes`, largest first; adds `start` (in map bytes). Returns the number of rows. */
export function place(segments, rowBytes, gap) {
  let at = 0;
  for (const segment of segments) {
    const used = at % rowBytes;
    if (used && used + segment.bytes > rowBytes) at += rowBytes - used;
    segment.start = at;
    at += segment.bytes;
    const rest = at % rowBytes;
    if (rest) at += Math.min(gap, rowBytes - rest);
  }
  return Math.max(1, Math.ceil(at / rowBytes));
}

/** A row length that gives about 24 rows: a power of two of 2 MiB. */
export function niceRow(total) {
  let row = 2 << 20;
  while (total / row > 24) row *= 2;
  return row;
}
