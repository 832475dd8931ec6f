/** The words random names are made of: short, easy to say, kind, and clean in any combination. */

const ADJECTIVE_TEXT = `
able agile airy alert amber ample apt arctic autumn awake azure balmy bold brave breezy brief bright brisk bronze
busy calm candid carefree careful cedar central cheerful cheery chief civil clean clear clever close cloudy cobalt
cool copper coral cordial cosmic cozy crisp curious daily dapper daring dear deft direct distant dreamy dry eager
early earnest easy elder elegant emerald eminent equal even exact fabled fair faithful famous fast fearless festive
fine firm first fleet fluent fond frank free fresh friendly frosty gallant generous gentle giant gifted glad
gleaming global golden good graceful grand grateful great green happy hardy hasty hearty helpful hidden honest
hopeful humble icy ideal indigo ivory jade jolly jovial joyful just keen kind lasting lavish leafy light likely
lively local lofty lone loud loyal lucid lucky lunar magic main major maple marble mellow merry mighty mild mindful
minty misty modern modest mossy mutual native natural neat neutral nice nimble noble noted novel oaken oceanic open
orange orderly pacific pale patient peaceful pearly peppy perky placid plain playful pleasant plucky poetic polar
polite precise prime proper proud prudent pure quaint quick quiet radiant rapid rare ready regal relaxed robust rosy
round royal ruby rural rustic sandy sapphire scenic serene shady sharp shiny silent silver simple sincere sleek
sleepy smart smiling smooth snowy snug social solar solid sonic sparkling speedy spicy spry stable starry steady
stellar sterling still stoic stormy strong sturdy subtle summer sunny super sure sweet swift tall tame
thankful thrifty tidy timely tiny topaz tranquil trim true trusty twin upbeat valiant vast velvet verdant vernal
violet vital vivid warm wavy wealthy well western whimsical wide wild windy winged winter wise witty woven
young zany zealous zesty zippy
`;

const NOUN_TEXT = `
acorn albatross alder almond alpaca anchor antelope apple apricot arbor ash aspen atlas aurora avocado badger bagel
bamboo barley basil bay bayou beacon bear bee beech beetle bell berry birch bison blossom bluebird bobcat
bonfire brook buffalo bunny buttercup butterfly cabin cactus camel canary canoe canyon caravan cardinal caribou
carrot cascade castle cat catfish cave cedar cello chamois cheetah cherry chestnut chickadee chinchilla chipmunk
cider cinnamon citrus clarinet cliff cloud clover coast comet compass condor coral corgi cougar cove coyote crab
cranberry crane creek crescent cricket crocus crow crystal cypress daffodil daisy dale dawn deer delta desert dingo
dolphin donkey dove dragonfly drum duck dune eagle echo eclipse egret elk elm ember emu falcon fern ferret fiddle
field fig finch firefly fjord flamingo flower flute forest fountain fox frog galaxy garden garnet gazelle gecko
geyser gibbon ginger ginkgo giraffe glacier glade goose gopher granite grape grove guitar gull hamster harbor hare
harp hawk hazel heather hedgehog heron hickory hill hippo holly honey horizon hornbill horse hummingbird ibex ibis
iguana impala inlet iris island ivy jackal jaguar jasmine jay jellyfish juniper kangaroo kelp kestrel kettle
kingfisher kite kiwi koala lagoon lake lantern larch lark laurel lavender leaf lemon lemur leopard lighthouse lilac
lily linden lion lizard llama lobster lotus lynx macaw magnolia magpie manatee mandolin mango mantis maple marigold
marlin marmot marten meadow melon meteor mimosa mink mint mole mongoose moon moose moss moth mountain mulberry
muskox narwhal nebula newt nightingale nutmeg oak oasis oboe ocean ocelot octopus olive opal orca orchard orchid
oriole osprey ostrich otter owl oyster paddle palm panda panther papaya parrot parsley peach peacock pear pebble
pelican penguin peony pepper petunia pheasant piano pigeon pine pistachio planet plateau plover plum pond pony
poplar poppy porcupine possum prairie puffin pumpkin quail quartz quasar quince quokka rabbit raccoon rain rainbow
raven reef reindeer ridge river robin rocket rose rosemary saffron sage salamander salmon sandpiper satellite
savanna seahorse seal sequoia shore sloth snail snowflake sparrow spring spruce squirrel star starfish starling
stork stream sunflower sunrise sunset swallow swan sycamore tadpole tamarind tapir teapot tern thicket thistle
thunder thyme tiger toad tortoise toucan trail trout tulip tundra turnip turtle valley vanilla viola violet
violin volcano vole wallaby walnut walrus warbler waterfall wave weasel whale wheat willow wind wolf wombat
woodpecker wren yak yarrow zebra zinnia
`;

export const ADJECTIVES: readonly string[] = ADJECTIVE_TEXT.trim().split(/\s+/);
export const NOUNS: readonly string[] = NOUN_TEXT.trim().split(/\s+/);
