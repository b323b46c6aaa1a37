from PIL import Image; import sys
ims=[Image.open(f'/tmp/own/ch/out{i}.png') for i in range(int(sys.argv[1]),int(sys.argv[2]))]
W=max(i.width for i in ims); H=sum(i.height for i in ims)
o=Image.new('RGB',(W,H),'white'); y=0
for i in ims: o.paste(i,(0,y)); y+=i.height
o.save('/tmp/own/ch/all.png')
