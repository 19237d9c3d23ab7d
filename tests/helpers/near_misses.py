"""Pairs of operators that are nearly the same, and other ways to write one operator.

A reader who is not careful takes one of a pair in `NEAR` for the other. `SIZES` and `OTHER` are two
bindings that fit all of them; every pair differs under both.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations, permutations

from syno.ir.coord import Coord, output
from syno.ir.operator import Index, Operator
from syno.ir.size import Size

SIZES = {
    "C_in": 4,
    "C_out": 4,
    "C": 4,
    "H": 6,
    "W": 6,
    "T": 3,
    "R": 2,
    "g": 2,
    "G": 2,
    "k": 3,
    "s": 2,
}
OTHER = {
    "C_in": 6,
    "C_out": 4,
    "C": 6,
    "H": 8,
    "W": 6,
    "T": 2,
    "R": 3,
    "g": 2,
    "G": 2,
    "k": 3,
    "s": 2,
}

_LINE = "[C_in, H] -> [C_out, H]\ny[o,h] = "
_DEEP = "[C, H] -> [C, H]\ny[c,h] = "
_PLANE = "[H, W] -> [H, W]\ny[h,w] = "
_ROWS = "[T, C_in] -> [T, C_out]\ny[t,o] = "
_POOL = "[H] -> [H/s]\ny[h] = "
_HEIGHT = "[H] -> [H]\ny[h] = "
_HALF = "[H*s] -> [H]\ny[h] = "
_SHUFFLE = "[C*s*s, H, W] -> [C, H*s, W*s]\ny[c,h,w] = "
_IMAGE = "[C_in, H, W] -> [C_out, H, W]\ny[o,h,w] = "
_READ = "sum[g:G, c:C_in/G, a:k, b:k, r:R] x[g*(C_in/G)+c, h+a-k//2, w+b-k//2] * "
_TURNED = "sum[g:G, c:C_in/G, a:k, b:k, r:R] x[g*(C_in/G)+c, (h+a-k//2 + 1)%H, w+b-k//2] * "
_FIRST = "w1[g,a,b,o,r] * "
_SECOND = "w2[g*(C_in/G)+c, b, r]"

NEAR: dict[str, tuple[str, str]] = {
    "a tap moved": (
        _LINE + "sum[c:C_in, a:k] x[c, h+a-k//2] * w1[o,c,a]",
        _LINE + "sum[c:C_in, a:k] x[c, (h + 1)%H + a - k//2] * w1[o,c,a]",
    ),
    "shift before or after the window": (
        _LINE + "sum[c:C_in, a:k] x[c, (h + 1)%H + a - k//2] * w1[o,c,a]",
        _LINE + "sum[c:C_in, a:k] x[c, (h + a - k//2 + 1)%H] * w1[o,c,a]",
    ),
    "shift forth or back": (
        _LINE + "sum[c:C_in] x[c, (h + 1)%H] * w1[o,c]",
        _LINE + "sum[c:C_in] x[c, (h - 1)%H] * w1[o,c]",
    ),
    "the window of the other dimension": (
        _PLANE + "sum[a:k] x[h+a-k//2, w] * w1[a]",
        _PLANE + "sum[a:k] x[h, w+a-k//2] * w1[a]",
    ),
    "one window twice or two windows": (
        _PLANE + "sum[a:k, b:k] x[h+a-k//2+b-k//2, w] * w1[a,b]",
        _PLANE + "sum[a:k, b:k] x[h+a-k//2, w+b-k//2] * w1[a,b]",
    ),
    "a full window or a separable one": (
        _PLANE + "sum[a:k, b:k] x[h+a-k//2, w+b-k//2] * w1[a,b]",
        _PLANE + "sum[a:k, b:k] x[h+a-k//2, w+b-k//2] * w1[a] * w2[b]",
    ),
    "rows weighted and columns summed or the reverse": (
        _PLANE + "sum[a:k, b:k] x[h+a-k//2, w+b-k//2] * w1[a]",
        _PLANE + "sum[a:k, b:k] x[h+a-k//2, w+b-k//2] * w1[b]",
    ),
    "dilated or dense": (
        _LINE + "sum[c:C_in, a:k] x[c, h + s*a - (k*s)//2] * w1[o,c,a]",
        _LINE + "sum[c:C_in, a:k] x[c, h+a-k//2] * w1[o,c,a]",
    ),
    "high or low digit": (
        "[H] -> [H]\ny[h] = x[h] * w1[h//s]",
        "[H] -> [H]\ny[h] = x[h] * w1[h%s]",
    ),
    "digits in their order or swapped": (
        "[H] -> [H]\ny[h] = x[h] * w1[h]",
        "[H] -> [H]\ny[h] = x[(h%s)*(H/s) + h//s] * w1[h]",
    ),
    "grouped or interleaved": (
        _LINE + "sum[c:C_in/g] x[(o//(C_out/g))*(C_in/g) + c, h] * w1[o,c]",
        _LINE + "sum[c:C_in/g] x[c*g + o//(C_out/g), h] * w1[o,c]",
    ),
    "groups of neighbours or of remainders": (
        _LINE + "sum[c:C_in/g] x[(o//(C_out/g))*(C_in/g) + c, h] * w1[o,c]",
        _LINE + "sum[c:C_in/g] x[(o%g)*(C_in/g) + c, h] * w1[o,c]",
    ),
    "grouped or dense": (
        _LINE + "sum[c:C_in/g] x[(o//(C_out/g))*(C_in/g) + c, h] * w1[o,c]",
        _LINE + "sum[c:C_in] x[c, h] * w1[o,c]",
    ),
    "depthwise or dense": (
        _DEEP + "sum[a:k] x[c, h+a-k//2] * w1[c,a]",
        _DEEP + "sum[d:C, a:k] x[d, h+a-k//2] * w1[c,d,a]",
    ),
    "a window for each channel or one for all": (
        _DEEP + "sum[a:k] x[c, h+a-k//2] * w1[c,a]",
        _DEEP + "sum[a:k] x[c, h+a-k//2] * w1[a]",
    ),
    "low rank or full": (
        _ROWS + "sum[c:C_in, r:R] x[t,c] * w1[o,r] * w2[c,r]",
        _ROWS + "sum[c:C_in] x[t,c] * w1[o,c]",
    ),
    "rank R or rank 1": (
        _ROWS + "sum[c:C_in, r:R] x[t,c] * w1[o,r] * w2[c,r]",
        _ROWS + "sum[c:C_in] x[t,c] * w1[o] * w2[c]",
    ),
    "four weights in a ring or in two pairs": (
        (
            "[T, C_in, H] -> [T, C_out, H]\ny[t,o,h] = sum[c:C_in, r:R, q:R, p:R, m:R] "
            "x[t,c,h] * w1[o,r,q] * w2[c,q,p] * w3[t,p,m] * w4[h,m,r]"
        ),
        (
            "[T, C_in, H] -> [T, C_out, H]\ny[t,o,h] = sum[c:C_in, r:R, q:R, p:R, m:R] "
            "x[t,c,h] * w1[o,r,q] * w2[c,r,q] * w3[t,p,m] * w4[h,p,m]"
        ),
    ),
    "rank R or rank s*R": (
        _ROWS + "sum[c:C_in, r:R] x[t,c] * w1[o,r] * w2[c,r]",
        _ROWS + "sum[c:C_in, r:s*R] x[t,c] * w1[o,r] * w2[c,r]",
    ),
    "one weight for all rows or one for each": (
        _ROWS + "sum[c:C_in] x[t,c] * w1[o,c]",
        _ROWS + "sum[c:C_in] x[t,c] * w1[t,o,c]",
    ),
    "the window of the first factor or of the second": (
        _LINE + "sum[c:C_in, a:k] x[c, h+a-k//2] * w1[o,c] * w2[c,a]",
        _LINE + "sum[c:C_in, a:k] x[c, h+a-k//2] * w1[o,a] * w2[c,a]",
    ),
    "blocks or every s-th place": (
        _POOL + "sum[a:s] x[h*s + a] * w1[a]",
        _POOL + "sum[a:s] x[a*(H/s) + h] * w1[a]",
    ),
    "a sum of blocks or a weighted one": (
        _POOL + "sum[a:s] x[h*s + a] * w1[a]",
        _POOL + "sum[a:s] x[h*s + a] * w1[h]",
    ),
    "the diagonal or the transpose": (
        "[H, H] -> [H, H]\ny[h,i] = x[h,i] * w1[h,i]",
        "[H, H] -> [H, H]\ny[h,i] = x[i,h] * w1[h,i]",
    ),
    # Windows.
    "dilated along one axis or along the other": (
        _PLANE + "sum[a:k, b:k] x[h + s*a - (k*s)//2, w+b-k//2] * w1[a,b]",
        _PLANE + "sum[a:k, b:k] x[h+a-k//2, w + s*b - (k*s)//2] * w1[a,b]",
    ),
    "dilated along one axis or along both": (
        _PLANE + "sum[a:k, b:k] x[h + s*a - (k*s)//2, w+b-k//2] * w1[a,b]",
        _PLANE + "sum[a:k, b:k] x[h + s*a - (k*s)//2, w + s*b - (k*s)//2] * w1[a,b]",
    ),
    "k taps or k*s taps": (
        _LINE + "sum[c:C_in, a:k] x[c, h+a-k//2] * w1[o,c,a]",
        _LINE + "sum[c:C_in, a:k*s] x[c, h+a-(k*s)//2] * w1[o,c,a]",
    ),
    "k taps of k*s, spread or together": (
        _LINE + "sum[c:C_in, a:k*s] x[c, h+a-(k*s)//2] * w1[o,c,a]",
        _LINE + "sum[c:C_in, a:k] x[c, h + s*a - (k*s)//2] * w1[o,c,a]",
    ),
    "two narrow windows in a row or one wide one": (
        _HEIGHT + "sum[a:k, b:k] x[h+a-k//2+b-k//2] * w1[a] * w2[b]",
        _HEIGHT + "sum[a:5] x[h+a-5//2] * w1[a]",
    ),
    "two windows in a row, weighted apart or together": (
        _HEIGHT + "sum[a:k, b:k] x[h+a-k//2+b-k//2] * w1[a] * w2[b]",
        _HEIGHT + "sum[a:k, b:k] x[h+a-k//2+b-k//2] * w1[a,b]",
    ),
    "of two windows in a row, the first weighted or the second": (
        _HEIGHT + "sum[a:k, b:k] x[h+a-k//2+b-k//2] * w1[a]",
        _HEIGHT + "sum[a:k, b:k] x[h+a-k//2+b-k//2] * w1[b]",
    ),
    "zeros beyond the edge or the values of the other end": (
        _HEIGHT + "sum[a:k, b:k] x[h+a-k//2+b-k//2] * w1[a,b]",
        _HEIGHT + "sum[a:k, b:k] x[((h+a-k//2 + 1)%H + b-k//2 - 1)%H] * w1[a,b]",
    ),
    "a window that slides or a block that stays": (
        _HEIGHT + "sum[a:s] x[h+a-s//2] * w1[h,a]",
        _HEIGHT + "sum[a:s] x[(h//s)*s + a] * w1[h,a]",
    ),
    "a window over places or over blocks": (
        _HEIGHT + "sum[a:k] x[h+a-k//2] * w1[a]",
        _HEIGHT + "sum[a:k] x[(h//s + a - k//2)*s + h%s] * w1[a]",
    ),
    "weighted before or after the sum over a window": (
        _HEIGHT + "sum[a:k] x[h+a-k//2] * w1[h+a-k//2]",
        _HEIGHT + "sum[a:k] x[h+a-k//2] * w1[h]",
    ),
    "weighted before or after the sum over a shifted window": (
        _HEIGHT + "sum[a:k] x[(h+a-k//2 + 1)%H] * w1[h+a-k//2]",
        _HEIGHT + "sum[a:k] x[(h+a-k//2 + 1)%H] * w1[h]",
    ),
    "a weighted window or a mean": (
        _LINE + "sum[c:C_in, a:k] x[c, h+a-k//2] * w1[o,c,a]",
        _LINE + "sum[c:C_in, a:k] x[c, h+a-k//2] * w1[o,c]",
    ),
    "a window for each output channel or for each input channel": (
        _LINE + "sum[c:C_in, a:k] x[c, h+a-k//2] * w1[o,c] * w2[o,a]",
        _LINE + "sum[c:C_in, a:k] x[c, h+a-k//2] * w1[o,c] * w2[c,a]",
    ),
    "a window for each half of the channels or for the even and the odd": (
        _LINE + "sum[c:C_in, a:k] x[c, h+a-k//2] * w1[o,c] * w2[c//(C_in/g),a]",
        _LINE + "sum[c:C_in, a:k] x[c, h+a-k//2] * w1[o,c] * w2[c%g,a]",
    ),
    "a window that is the same everywhere or another at each place": (
        _DEEP + "sum[a:k] x[c, h+a-k//2] * w1[c,a]",
        _DEEP + "sum[a:k] x[c, h+a-k//2] * w1[c,h,a]",
    ),
    # Shifts.
    "shifted by one or by two": (
        _LINE + "sum[c:C_in] x[c, (h + 1)%H] * w1[o,c]",
        _LINE + "sum[c:C_in] x[c, (h + 2)%H] * w1[o,c]",
    ),
    "rows shifted or columns": (
        _PLANE + "x[(h + 1)%H, w] * w1[h,w]",
        _PLANE + "x[h, (w + 1)%W] * w1[h,w]",
    ),
    "groups where they are or one channel further": (
        _LINE + "sum[c:C_in/g] x[(o//(C_out/g))*(C_in/g) + c, h] * w1[o,c]",
        _LINE + "sum[c:C_in/g] x[((o//(C_out/g))*(C_in/g) + c + 1)%C_in, h] * w1[o,c]",
    ),
    "a shift inside the blocks or across them": (
        "[H] -> [H]\ny[h] = x[(h//s)*s + (h%s + 1)%s] * w1[h]",
        "[H] -> [H]\ny[h] = x[(h + 1)%H] * w1[h]",
    ),
    "a shift of the blocks or inside them": (
        "[H] -> [H]\ny[h] = x[((h//s + 1)%(H/s))*s + h%s] * w1[h]",
        "[H] -> [H]\ny[h] = x[(h//s)*s + (h%s + 1)%s] * w1[h]",
    ),
    # Digits, blocks and strides.
    "stride before or after a window": (
        _HALF + "sum[a:k, b:k] x[s*h + a - k//2 + b - k//2] * w1[a,b]",
        _HALF + "sum[a:k, b:k] x[s*(h + a - k//2) + b - k//2] * w1[a,b]",
    ),
    "a strided window or a block": (
        _HALF + "sum[a:k] x[s*h + a - k//2] * w1[h]",
        _HALF + "sum[a:s] x[h*s + a] * w1[h]",
    ),
    "every entry repeated or the whole repeated": (
        "[H] -> [H*s]\ny[i] = x[i//s] * w1[i]",
        "[H] -> [H*s]\ny[i] = x[i%H] * w1[i]",
    ),
    "rows one after another or columns": (
        "[H*W] -> [H, W]\ny[h,w] = x[h*W + w] * w1[h,w]",
        "[H*W] -> [H, W]\ny[h,w] = x[w*H + h] * w1[h,w]",
    ),
    "a row is read from high digits or from low ones": (
        "[H, W] -> [H*W]\ny[i] = x[i//W, i%W] * w1[i]",
        "[H, W] -> [H*W]\ny[i] = x[i%H, i//H] * w1[i]",
    ),
    "mixed inside blocks or across them": (
        _HEIGHT + "sum[a:s] x[(h//s)*s + a] * w1[h,a]",
        _HEIGHT + "sum[a:s] x[a*(H/s) + h//s] * w1[h,a]",
    ),
    "one matrix for all blocks or one for each": (
        _HEIGHT + "sum[a:s] x[(h//s)*s + a] * w1[h%s,a]",
        _HEIGHT + "sum[a:s] x[(h//s)*s + a] * w1[h,a]",
    ),
    "pixel shuffle, rows first or columns first": (
        _SHUFFLE + "x[c*s*s + (h%s)*s + w%s, h//s, w//s]",
        _SHUFFLE + "x[c*s*s + (w%s)*s + h%s, h//s, w//s]",
    ),
    "pixel shuffle, channels outside or inside": (
        _SHUFFLE + "x[c*s*s + (h%s)*s + w%s, h//s, w//s]",
        _SHUFFLE + "x[((h%s)*s + w%s)*C + c, h//s, w//s]",
    ),
    "pixel shuffle, low digits choose the channel or high ones": (
        _SHUFFLE + "x[c*s*s + (h%s)*s + w%s, h//s, w//s]",
        _SHUFFLE + "x[c*s*s + (h//H)*s + w//W, h%H, w%W]",
    ),
    # Weights and what ties them.
    "rows mixed or columns": (
        _PLANE + "sum[i:H] x[i,w] * w1[h,i]",
        _PLANE + "sum[j:W] x[h,j] * w1[w,j]",
    ),
    "rows and columns mixed apart or crosswise": (
        _PLANE + "sum[i:H, j:W] x[i,j] * w1[h,i] * w2[w,j]",
        _PLANE + "sum[i:H, j:W] x[i,j] * w1[h,j] * w2[w,i]",
    ),
    "a weight for each entry or a product of two": (
        _DEEP + "x[c,h] * w1[c,h]",
        _DEEP + "x[c,h] * w1[c] * w2[h]",
    ),
    "three weights on one rank or in a chain of two": (
        _ROWS + "sum[c:C_in, r:R] x[t,c] * w1[o,r] * w2[c,r] * w3[t,r]",
        _ROWS + "sum[c:C_in, r:R, q:R] x[t,c] * w1[o,r] * w2[c,q] * w3[r,q]",
    ),
    "two weights on one rank or on one each": (
        _ROWS + "sum[c:C_in, r:R, q:R] x[t,c] * w1[o,r] * w2[c,q] * w3[t,r,q]",
        _ROWS + "sum[c:C_in, r:R, q:R] x[t,c] * w1[o,r] * w2[c,r,q] * w3[t,q]",
    ),
    "a rank that the rows see or not": (
        _ROWS + "sum[c:C_in, r:R] x[t,c] * w1[o,r] * w2[c,r]",
        _ROWS + "sum[c:C_in, r:R] x[t,c] * w1[t,o,r] * w2[c,r]",
    ),
    "a tap that one factor sees or both": (
        _LINE + "sum[c:C_in, a:k, r:R] x[c, h+a-k//2] * w1[o,r] * w2[c,a,r]",
        _LINE + "sum[c:C_in, a:k, r:R] x[c, h+a-k//2] * w1[o,a,r] * w2[c,a,r]",
    ),
    "a tap that the outer factor sees or the inner one": (
        _LINE + "sum[c:C_in, a:k, r:R] x[c, h+a-k//2] * w1[o,a,r] * w2[c,r]",
        _LINE + "sum[c:C_in, a:k, r:R] x[c, h+a-k//2] * w1[o,r] * w2[c,a,r]",
    ),
    # The operators of the paper (design 2.3).
    "operator 1 or operator 2": (
        _IMAGE + _READ + _FIRST + _SECOND,
        _IMAGE + _TURNED + "w1[g,a,o,r] * " + _SECOND,
    ),
    "operator 1, the second weight over columns or over rows": (
        _IMAGE + _READ + _FIRST + _SECOND,
        _IMAGE + _READ + _FIRST + "w2[g*(C_in/G)+c, a, r]",
    ),
    "operator 1, the second weight with a window or without": (
        _IMAGE + _READ + _FIRST + _SECOND,
        _IMAGE + _READ + _FIRST + "w2[g*(C_in/G)+c, r]",
    ),
    "operator 1, the first weight with groups or without": (
        _IMAGE + _READ + _FIRST + _SECOND,
        _IMAGE + _READ + "w1[a,b,o,r] * " + _SECOND,
    ),
    "operator 1, the second weight with groups or without": (
        _IMAGE + _READ + _FIRST + _SECOND,
        _IMAGE + _READ + _FIRST + "w2[c, b, r]",
    ),
    "operator 1, groups of neighbours or of remainders": (
        _IMAGE + _READ + _FIRST + _SECOND,
        _IMAGE + _READ.replace("g*(C_in/G)+c", "c*G+g") + _FIRST + "w2[c*G+g, b, r]",
    ),
    "operator 1, tied by a rank or not": (
        _IMAGE + _READ + _FIRST + _SECOND,
        _IMAGE + _READ.replace(", r:R", "") + "w1[g,a,b,o] * w2[g*(C_in/G)+c, b]",
    ),
    "operator 2, with its shift or without": (
        _IMAGE + _TURNED + "w1[g,a,o,r] * " + _SECOND,
        _IMAGE + _READ + "w1[g,a,o,r] * " + _SECOND,
    ),
    "operator 2, window and shift or shift and window": (
        _IMAGE + _TURNED + "w1[g,a,o,r] * " + _SECOND,
        _IMAGE
        + _TURNED.replace("(h+a-k//2 + 1)%H", "(h + 1)%H + a - k//2")
        + "w1[g,a,o,r] * "
        + _SECOND,
    ),
    "operator 2, shifted forth or back": (
        _IMAGE + _TURNED + "w1[g,a,o,r] * " + _SECOND,
        _IMAGE + _TURNED.replace("+ 1)%H", "- 1)%H") + "w1[g,a,o,r] * " + _SECOND,
    ),
    "operator 2, rows shifted or columns": (
        _IMAGE + _TURNED + "w1[g,a,o,r] * " + _SECOND,
        _IMAGE + _READ.replace("w+b-k//2", "(w+b-k//2 + 1)%W") + "w1[g,a,o,r] * " + _SECOND,
    ),
    "operator 2, each weight with its window or the windows exchanged": (
        _IMAGE + _TURNED + "w1[g,a,o,r] * " + _SECOND,
        _IMAGE + _TURNED + "w1[g,b,o,r] * w2[g*(C_in/G)+c, a, r]",
    ),
    "gpt-2 projection, the half is chosen by the middle digit or by the highest": (
        "[T, 8] -> [T, (3, 2, 5)]\ny[t,(a,b,c)] = sum[r:4] x[t, b*4 + r] * w1[a,r,c]",
        "[T, 8] -> [T, (2, 3, 5)]\ny[t,(b,a,c)] = sum[r:4] x[t, b*4 + r] * w1[a,r,c]",
    ),
    "gpt-2 projection, the half is chosen by the middle digit or by the lowest": (
        "[T, 8] -> [T, (3, 2, 5)]\ny[t,(a,b,c)] = sum[r:4] x[t, b*4 + r] * w1[a,r,c]",
        "[T, 8] -> [T, (3, 5, 2)]\ny[t,(a,c,b)] = sum[r:4] x[t, b*4 + r] * w1[a,r,c]",
    ),
    "gpt-2 projection, halves or the even and the odd": (
        "[T, 8] -> [T, (3, 2, 5)]\ny[t,(a,b,c)] = sum[r:4] x[t, b*4 + r] * w1[a,r,c]",
        "[T, 8] -> [T, (3, 2, 5)]\ny[t,(a,b,c)] = sum[r:4] x[t, r*2 + b] * w1[a,r,c]",
    ),
    "gpt-2 projection, one weight for both halves or one for each": (
        "[T, 8] -> [T, (3, 2, 5)]\ny[t,(a,b,c)] = sum[r:4] x[t, b*4 + r] * w1[a,r,c]",
        "[T, 8] -> [T, (3, 2, 5)]\ny[t,(a,b,c)] = sum[r:4] x[t, b*4 + r] * w1[a,b,r,c]",
    ),
    # Dimensions of one name are told apart by their order.
    "rows mixed or columns, of one size": (
        "[H, H] -> [H, H]\ny[h,i] = sum[j:H] x[j,i] * w1[h,j]",
        "[H, H] -> [H, H]\ny[h,i] = sum[j:H] x[h,j] * w1[i,j]",
    ),
    "mixed or mixed and transposed": (
        "[H, H] -> [H, H]\ny[h,i] = sum[j:H] x[j,i] * w1[h,j]",
        "[H, H] -> [H, H]\ny[h,i] = sum[j:H] x[i,j] * w1[h,j]",
    ),
}


def raw(
    op: Operator,
    weights: Iterable[Index],
    rename: dict[Coord, Coord] | None = None,
    reductions: Index | None = None,
) -> Operator:
    """Return `op` with weights as given: `Operator.build` would bring them into one form."""
    table = rename or {}
    made = object.__new__(Operator)
    made.input, made.output, made.outputs, made.text = op.input, op.output, op.outputs, "raw"
    made.data = tuple(coord.replace(table.get) for coord in op.data)
    made.weights = tuple(tuple(c.replace(table.get) for c in index) for index in weights)
    made.reductions = reductions or tuple(table.get(leaf, leaf) for leaf in op.reductions)[::-1]
    return made


def orders(shape: tuple[Size, ...]) -> list[tuple[int, ...]]:
    """Return the orders in which dimensions may be written: those of one name keep theirs."""
    ties = [(i, j) for i, j in combinations(range(len(shape)), 2) if shape[i] is shape[j]]
    every = permutations(range(len(shape)))
    return [order for order in every if all(order.index(i) < order.index(j) for i, j in ties)]


def reordered(op: Operator, order_in: Iterable[int], order_out: Iterable[int]) -> Operator:
    """Return `op` with the dimensions of x and of y written in another order."""
    places_in, places_out = tuple(order_in), tuple(order_out)
    names = {op.outputs[old]: output(new, op.output[old]) for new, old in enumerate(places_out)}
    return Operator.build(
        [op.input[place] for place in places_in],
        [op.output[place] for place in places_out],
        [op.data[place].replace(names.get) for place in places_in],
        [[coord.replace(names.get) for coord in index] for index in op.weights],
    )
