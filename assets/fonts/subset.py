"""Makes the two subsets: Latin, Greek, Cyrillic, combining marks, punctuation, arrows, the common signs."""
import sys
from fontTools import subset
from fontTools.ttLib import TTFont
U = "20-7E,A0-24F,2B0-2FF,300-36F,370-3FF,400-4FF,1E00-1EFF,2000-206F,2070-209F,20A0-20BF,2113,2122,2190-2193,2200-2265,2423,2581,25CC,FFFD"
src, dst = sys.argv[1:]
o = subset.Options(hinting=False, layout_features=["kern", "mark", "mkmk", "ccmp", "locl"], name_IDs=[0, 1, 2, 4, 6, 13, 14])
f = subset.load_font(src, o)
s = subset.Subsetter(o)
s.populate(unicodes=subset.parse_unicodes(U))
s.subset(f)
f["OS/2"].usWidthClass = 5  # its own family here, so that it is found by name alone
subset.save_font(f, dst, o)
