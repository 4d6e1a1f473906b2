// Colour maps: 32 colours each, between which colours are interpolated. Viridis, magma and RdBu are those of
// matplotlib; gray is a ramp.

const COLOURS = {
  gray: "000000ffffff",
  viridis:
    "440154470d6048186a482374472e7c4538824241863e4a893a548c365d8d32658e2e6d8e2b758e287d8e25848e228c8d" +
    "1f948c1e9c8920a38625ab822eb37c3aba7648c16e58c7656ccd5a7fd34e93d741a8db34c0df25d5e21aeae51afde725",
  magma:
    "0000040303120a0822130d341e11492a115c38106c45107754137d6018806d1d81792282882781942c80a1307eae347b" +
    "bd3977ca3e72d6456ce24d66ec5860f3655cf8745cfb835ffd9467fea36ffeb27afec185fed194fde0a1fceeb0fcfdbf",
  difference:
    "0530610e41791752901f63a82b73b33681ba408fc1569fc971b0d38ac0dba0cce2b3d6e8cae1eed8e9f1e4eef4f0f4f6" +
    "f8f2effae9dffce0d0fcd5bff9c2a7f6b191f19e7de8896cdd7059d35a4ac84440bd2d35ae172a960f277f082367001f",
};

/** Names of the maps that a user chooses from; `difference` is for differences alone. */
export const CHOICES = ["gray", "viridis", "magma"];

/** Return the 256 colours of a map as little-endian RGBA words. */
export function lookupTable(name) {
  const stops = COLOURS[name].match(/../g).map((pair) => parseInt(pair, 16));
  const last = stops.length / 3 - 1;
  return Uint32Array.from({ length: 256 }, (_, level) => {
    const place = (level / 255) * last;
    const before = Math.min(Math.floor(place), last - 1);
    const share = place - before;
    const [red, green, blue] = [0, 1, 2].map((channel) =>
      Math.round(stops[3 * before + channel] * (1 - share) + stops[3 * before + 3 + channel] * share),
    );
    return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  });
}
