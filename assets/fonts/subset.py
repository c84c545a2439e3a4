"""Makes the subsets: Latin, Greek, Cyrillic, combining marks, punctuation, arrows, the common signs; with `--mono` also what
a terminal's screen is drawn with."""
import sys
from fontTools import subset
from fontTools.ttLib import TTFont
U = "20-7E,A0-24F,2B0-2FF,300-36F,370-3FF,400-4FF,1E00-1EFF,2000-206F,2070-209F,20A0-20BF,2113,2122,2190-2193,2200-2265,2423,2581,25CC,FFFD"
MONO = ",2190-21FF,2300-23FF,2500-25FF,2605-2606,2660-2667,2713-2718,271A,2716,2731,2756,27E8-27E9"
mono = "--mono" in sys.argv
src, dst = [a for a in sys.argv[1:] if a != "--mono"]
o = subset.Options(hinting=False, layout_features=["kern", "mark", "mkmk", "ccmp", "locl"], name_IDs=[0, 1, 2, 4, 6, 13, 14])
f = subset.load_font(src, o)
s = subset.Subsetter(o)
s.populate(unicodes=subset.parse_unicodes(U + MONO if mono else U))
s.subset(f)
f["OS/2"].usWidthClass = 5  # its own family here, so that it is found by name alone
subset.save_font(f, dst, o)
